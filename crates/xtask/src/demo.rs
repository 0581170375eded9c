//! `cargo xtask demo`: two models, two publishers, one policy, six attacks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::run::{Outcome, cargo, output, root};

const POLICY: &str = r#"version = 1

[[publisher]]
name = "release"
key = { public = ["release.pub"] }

[[publisher]]
name = "lab"
certificate = { anchors = ["root.pem"], subject = "CN=model signing,O=Lab" }

[[model]]
match = "acme/*"
publishers = ["release"]

[[model]]
match = "lab/story"
publishers = ["lab"]
"#;

/// Runs the demonstration. Fails at the first step that does not go as it must.
pub(crate) fn run() -> Outcome {
    println!("Building the command line ...");
    cargo(["build", "--quiet", "--locked", "--package", "modelseal-cli"])?;
    let directory = root()?.join("target/demo");
    if directory.exists() {
        fs::remove_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let demo = Demo { directory, binary: root()?.join("target/debug/modelseal") };

    section("Two models: one of safetensors shards, one GGUF file");
    demo.write_models()?;
    say("granite/: 2 shards with an index, config.json, tokenizer.json, chat_template.jinja");
    say("story.gguf: one file, GGUF v3");

    section("Two publishers: one with a key, one with a certificate");
    demo.shows(
        &["keygen", "--no-password", "--private-key", "release.key", "--public-key", "release.pub"],
        0,
        &[],
    )?;
    demo.write_certificates()?;
    say("root.pem: a certificate authority; leaf.pem, leaf.key: a leaf for code signing");

    section("Sign");
    demo.shows(
        &["sign", "key", "--private-key", "release.key", "--signature", "granite/model.sig", "granite"],
        0,
        &[],
    )?;
    demo.shows(
        &[
            "sign",
            "certificate",
            "--private-key",
            "leaf.key",
            "--signing-certificate",
            "leaf.pem",
            "--certificate-chain",
            "root.pem",
            "--signature",
            "story.gguf.sig",
            "story.gguf",
        ],
        0,
        &[],
    )?;

    section("Open under a policy");
    demo.write("policy.toml", POLICY.as_bytes())?;
    println!("  policy.toml:");
    println!("{}\n", indent(POLICY));
    demo.shows(&open("granite", "acme/granite"), 0, &["model.embed_tokens.weight", "F32"])?;
    demo.shows(&open("story.gguf", "lab/story"), 0, &["blk.0.attn_q.weight"])?;

    section("One byte of a shard is swapped");
    demo.copy("granite", "attack-byte")?;
    demo.patch("attack-byte/model-00002-of-00002.safetensors", |bytes| {
        if let Some(byte) = bytes.last_mut() {
            *byte ^= 1;
        }
    })?;
    demo.denied(&open("attack-byte", "acme/granite"), "file.digest_mismatch")?;

    section("An unsigned pickle is dropped beside the weights");
    demo.copy("granite", "attack-pickle")?;
    demo.write("attack-pickle/pytorch_model.bin", b"\x80\x04cos\nsystem\n(S'true'\ntR.")?;
    demo.denied(&open("attack-pickle", "acme/granite"), "file.unsigned")?;

    section("Somebody else signs the model");
    demo.copy("granite", "attack-signer")?;
    demo.shows(
        &["keygen", "--no-password", "--private-key", "mallory.key", "--public-key", "mallory.pub"],
        0,
        &[],
    )?;
    demo.shows(
        &[
            "sign",
            "key",
            "--private-key",
            "mallory.key",
            "--signature",
            "attack-signer/model.sig",
            "attack-signer",
        ],
        0,
        &[],
    )?;
    demo.denied(&open("attack-signer", "acme/granite"), "signature.wrong_key")?;

    section("A file is truncated");
    demo.directory("attack-truncated")?;
    demo.write_bytes_of("story.gguf", "attack-truncated/story.gguf", |bytes| {
        bytes.truncate(bytes.len() - 1)
    })?;
    demo.write_bytes_of("story.gguf.sig", "attack-truncated/story.gguf.sig", |_| ())?;
    demo.denied(&open("attack-truncated/story.gguf", "lab/story"), "file.size")?;

    section("Another model of the same publisher is put in its place");
    demo.copy("granite", "attack-other")?;
    demo.write_shards("attack-other", 7.0)?;
    demo.shows(
        &[
            "sign",
            "key",
            "--private-key",
            "release.key",
            "--signature",
            "attack-other/model.sig",
            "attack-other",
        ],
        0,
        &[],
    )?;
    say("Without a pin the publisher's word is enough:");
    demo.shows(&open("attack-other", "acme/granite"), 0, &["allowed"])?;
    say("With a pin it is not:");
    let pin = demo.shows(
        &["pin", "granite", "--name", "acme/granite", "--policy", "policy.toml"],
        0,
        &["dirHash:"],
    )?;
    let line = String::from_utf8_lossy(&pin.stdout).trim().to_owned();
    let pinned =
        format!("{POLICY}\n[[model]]\nmatch = \"acme/granite\"\npublishers = [\"release\"]\n{line}\n");
    demo.write("pinned.toml", pinned.as_bytes())?;
    demo.shows(&["open", "granite", "--name", "acme/granite", "--policy", "pinned.toml"], 0, &["allowed"])?;
    demo.denied(
        &["open", "attack-other", "--name", "acme/granite", "--policy", "pinned.toml"],
        "policy.pin",
    )?;

    println!("\nEvery step went as it must.");
    Ok(())
}

fn open<'a>(model: &'a str, name: &'a str) -> [&'a str; 6] {
    ["open", model, "--name", name, "--policy", "policy.toml"]
}

fn section(title: &str) {
    println!("\n## {title}\n");
}

fn say(text: &str) {
    println!("  {text}");
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

struct Demo {
    directory: PathBuf,
    binary: PathBuf,
}

impl Demo {
    /// Runs the command line, shows what it printed, and wants this exit code and these words.
    fn shows(&self, arguments: &[&str], code: i32, words: &[&str]) -> Outcome<Output> {
        println!("  $ modelseal {}", arguments.join(" "));
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(&self.directory);
        let shown = output(command)?;
        let text =
            format!("{}{}", String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
        if !text.trim().is_empty() {
            println!("{}", indent(text.trim_end()));
        }
        if shown.status.code() != Some(code) {
            return Err(format!("expected exit code {code}, got {}", shown.status));
        }
        match words.iter().find(|word| !text.contains(*word)) {
            Some(word) => Err(format!("expected '{word}' in the output")),
            None => Ok(shown),
        }
    }

    /// Wants a denial with exit code 1 whose reason starts with `code`.
    fn denied(&self, arguments: &[&str], code: &str) -> Outcome {
        self.shows(arguments, 1, &[code]).map(drop)
    }

    fn directory(&self, name: &str) -> Outcome {
        let path = self.directory.join(name);
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Outcome {
        let path = self.directory.join(name);
        fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn read(&self, name: &str) -> Outcome<Vec<u8>> {
        let path = self.directory.join(name);
        fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn write_bytes_of(&self, from: &str, to: &str, change: impl FnOnce(&mut Vec<u8>)) -> Outcome {
        let mut bytes = self.read(from)?;
        change(&mut bytes);
        self.write(to, &bytes)
    }

    fn patch(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Outcome {
        self.write_bytes_of(name, name, change)
    }

    fn copy(&self, from: &str, to: &str) -> Outcome {
        let target = self.directory.join(to);
        let failed = |error: std::io::Error| format!("{}: {error}", target.display());
        fs::create_dir(&target).map_err(failed)?;
        for entry in fs::read_dir(self.directory.join(from)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            fs::copy(entry.path(), target.join(entry.file_name())).map_err(failed)?;
        }
        Ok(())
    }

    fn write_models(&self) -> Outcome {
        self.directory("granite")?;
        self.write_shards("granite", 1.0)?;
        self.write("granite/config.json", br#"{"architectures": ["GraniteForCausalLM"], "hidden_size": 8}"#)?;
        self.write(
            "granite/tokenizer.json",
            br#"{"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}"#,
        )?;
        self.write(
            "granite/chat_template.jinja",
            b"{% for message in messages %}{{ message.content }}{% endfor %}\n",
        )?;
        self.write("story.gguf", &gguf())
    }

    fn write_shards(&self, model: &str, seed: f32) -> Outcome {
        use safetensors::tensor::{Dtype, TensorView};
        let shards = [
            ("model-00001-of-00002.safetensors", "model.embed_tokens.weight", vec![16, 8]),
            ("model-00002-of-00002.safetensors", "lm_head.weight", vec![4, 8]),
        ];
        let mut map = Vec::new();
        for (file, tensor, shape) in shards {
            let count: usize = shape.iter().product();
            let bytes: Vec<u8> =
                (0_u16..).take(count).flat_map(|step| (seed + f32::from(step)).to_le_bytes()).collect();
            let view = TensorView::new(Dtype::F32, shape, &bytes).map_err(|error| error.to_string())?;
            let serialized =
                safetensors::serialize([(tensor, view)], None).map_err(|error| error.to_string())?;
            self.write(&format!("{model}/{file}"), &serialized)?;
            map.push(format!("\"{tensor}\": \"{file}\""));
        }
        let index =
            format!("{{\"metadata\": {{\"total_size\": 640}}, \"weight_map\": {{{}}}}}\n", map.join(", "));
        self.write(&format!("{model}/model.safetensors.index.json"), index.as_bytes())
    }

    /// A root and a leaf for code signing, as a small laboratory would have them.
    fn write_certificates(&self) -> Outcome {
        let failed = |error: rcgen::Error| error.to_string();
        let root_key = KeyPair::generate().map_err(failed)?;
        let mut authority = CertificateParams::new(Vec::new()).map_err(failed)?;
        authority.distinguished_name.push(DnType::CommonName, "Lab root");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root = authority.self_signed(&root_key).map_err(failed)?;
        let leaf_key = KeyPair::generate().map_err(failed)?;
        let mut signing = CertificateParams::new(Vec::new()).map_err(failed)?;
        signing.distinguished_name = rcgen::DistinguishedName::new();
        signing.distinguished_name.push(DnType::OrganizationName, "Lab");
        signing.distinguished_name.push(DnType::CommonName, "model signing");
        signing.is_ca = IsCa::ExplicitNoCa;
        signing.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        signing.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let leaf = signing.signed_by(&leaf_key, &Issuer::new(authority, root_key)).map_err(failed)?;
        self.write("root.pem", root.pem().as_bytes())?;
        self.write("leaf.pem", leaf.pem().as_bytes())?;
        self.write("leaf.key", leaf_key.serialize_pem().as_bytes())?;
        owner_only(&self.directory.join("leaf.key"))
    }
}

#[cfg(unix)]
fn owner_only(path: &Path) -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(not(unix))]
fn owner_only(_: &Path) -> Outcome {
    Ok(())
}

/// A small but complete GGUF v3 file: three metadata pairs, two tensors of F32.
fn gguf() -> Vec<u8> {
    const STRING: u32 = 8;
    const UINT32: u32 = 4;
    const F32: u32 = 0;
    fn text(out: &mut Vec<u8>, text: &str) {
        out.extend(u64::try_from(text.len()).unwrap_or(0).to_le_bytes());
        out.extend(text.as_bytes());
    }
    let tensors: [(&str, u64, u64); 2] = [("token_embd.weight", 8, 16), ("blk.0.attn_q.weight", 8, 8)];
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend(2_u64.to_le_bytes());
    out.extend(3_u64.to_le_bytes());
    text(&mut out, "general.architecture");
    out.extend(STRING.to_le_bytes());
    text(&mut out, "llama");
    text(&mut out, "llama.embedding_length");
    out.extend(UINT32.to_le_bytes());
    out.extend(8_u32.to_le_bytes());
    text(&mut out, "tokenizer.chat_template");
    out.extend(STRING.to_le_bytes());
    text(&mut out, "{{ messages[0].content }}");
    let mut offset = 0_u64;
    for (name, columns, rows) in tensors {
        text(&mut out, name);
        out.extend(2_u32.to_le_bytes());
        out.extend(columns.to_le_bytes());
        out.extend(rows.to_le_bytes());
        out.extend(F32.to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += columns * rows * 4;
    }
    out.resize(out.len().next_multiple_of(32), 0);
    for step in 0..(8 * 16 + 8 * 8) {
        out.extend((f32::from(u8::try_from(step).unwrap_or(0)) / 16.0).to_le_bytes());
    }
    out
}
