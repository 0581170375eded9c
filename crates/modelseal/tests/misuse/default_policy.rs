// expect: E0599
use modelseal::{Clock, Error, Policy};
pub fn f(text: &str) -> Result<Policy, Error> {
    Ok(Policy::default()) // MISUSE
    Policy::parse(text, Clock::System) // TWIN
}
