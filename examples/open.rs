//! Opens a model under a policy and prints its tensors.
//!
//! `cargo run --example open -- MODEL NAME POLICY`

use std::process::ExitCode;

use modelseal::{Clock, Error, ModelName, Policy, verify_and_open};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, name, policy] = arguments.as_slice() else {
        eprintln!("usage: open MODEL NAME POLICY");
        return ExitCode::from(2);
    };
    match print_tensors(model, name, policy) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}\n{}", error.remedy());
            ExitCode::FAILURE
        }
    }
}

fn print_tensors(model: &str, name: &str, policy: &str) -> Result<(), Error> {
    let policy = Policy::load(policy, Clock::System)?;
    let model = verify_and_open(model, &ModelName::parse(name)?, &policy)?;
    for (file, tensor) in model.tensors()? {
        // Bytes that can only be what was signed: hand them to a device, a tokenizer, a graph.
        let bytes = model.tensor_in(&file, tensor.name())?.bytes().len();
        println!("{file} {} {} {:?}: {bytes} bytes", tensor.name(), tensor.dtype().as_str(), tensor.shape());
    }
    println!("signed by {}", model.verdict().publishers.join(", "));
    Ok(())
}
