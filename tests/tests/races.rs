//! Somebody changes the files while and after they are verified. What each assurance promises is in
//! `modelseal::manual::assurance`; here it is put to the test.

#![cfg(target_os = "linux")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod support;

use std::fs::{self, File, OpenOptions as FileOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use modelseal::{
    Approval, Assurance, Bundle, Code, Error, Floor, Policy, Source, Tree, Verification, VerifiedModel,
    verify_and_map, verify_and_open_with,
};
use support::{
    Form, Person, WAYS, any_of, contents, denied, name, noise, options, policy, safetensors, write_model,
};
use tempfile::TempDir;

const WEIGHTS: &str = "model.safetensors";

/// A signed model of its own for each attack, with weights of this many bytes.
struct Target {
    model: TempDir,
    bundle: Vec<u8>,
    /// What was signed.
    weights: Vec<u8>,
    policy: Policy,
    mapped: Policy,
}

impl Target {
    fn new(form: Form, length: usize) -> Self {
        let model = tempfile::tempdir().unwrap();
        write_model(model.path());
        let weights = safetensors(&noise(3, length));
        fs::write(model.path().join(WEIGHTS), &weights).unwrap();
        let person = Person::new("alice");
        let policy_with = |floor| policy(&[&person], any_of(&[&person]), floor);
        Self {
            bundle: person.sign(model.path(), form),
            policy: policy_with(Floor::Immutable),
            mapped: policy_with(Floor::Mapped),
            weights,
            model,
        }
    }

    fn path(&self) -> PathBuf {
        self.model.path().join(WEIGHTS)
    }

    fn source(&self) -> Source {
        Source::new(self.model.path()).with_bundle_bytes(self.bundle.clone())
    }

    fn open(&self, way: (Assurance, Verification)) -> Result<VerifiedModel, Error> {
        verify_and_open_with(self.source(), &name(), &self.policy, &options(way))
    }

    /// Approved, not opened: the moment between the walk and the open.
    fn approve(&self) -> Approval {
        let bundle = Bundle::parse(&self.bundle).unwrap();
        self.policy.check([bundle]).unwrap().approve(&name(), Tree::walk(self.model.path()).unwrap()).unwrap()
    }

    /// Well-formed weights of the same length that nobody signed: the header ends before byte 128.
    fn forged(&self) -> Vec<u8> {
        let mut bytes = self.weights.clone();
        bytes.iter_mut().skip(128).for_each(|byte| *byte ^= 0x80);
        bytes
    }
}

/// What somebody with write access does to a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Attack {
    Append,
    RenameOver,
    Rewrite,
    Truncate,
    Unlink,
}

impl Attack {
    const ALL: [Self; 5] = [Self::Append, Self::RenameOver, Self::Rewrite, Self::Truncate, Self::Unlink];

    fn strike(self, target: &Target) {
        let path = target.path();
        let in_place = || FileOptions::new().write(true).open(&path).unwrap();
        match self {
            Self::Append => FileOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap(),
            Self::RenameOver => replace(target.model.path(), &path, &target.forged()),
            Self::Rewrite => in_place().write_all_at(&target.forged(), 0).unwrap(),
            Self::Truncate => in_place().set_len(100).unwrap(),
            Self::Unlink => fs::remove_file(&path).unwrap(),
        }
    }

    /// Whether a descriptor of the file sees it.
    fn reaches_the_inode(self) -> bool {
        matches!(self, Self::Append | Self::Rewrite | Self::Truncate)
    }
}

/// Renames a new file over `path`. It is made outside the model, so that no walk meets it.
fn replace(model: &Path, path: &Path, bytes: &[u8]) {
    let new = tempfile::NamedTempFile::new_in(model.parent().unwrap()).unwrap();
    fs::write(new.path(), bytes).unwrap();
    new.persist(path).unwrap();
}

#[test]
fn copies_do_not_change_after_the_open() {
    for way in WAYS {
        for attack in Attack::ALL {
            let target = Target::new(Form::Annotated, 3000);
            let model = target.open(way).unwrap();
            let file = model.file(WEIGHTS).unwrap();
            let held = file.bytes().unwrap();
            let mut reader = file.reader().unwrap();
            let mut descriptor = file.descriptor().unwrap();
            let directory = model.directory().unwrap();
            let mut half = vec![0; 1500];
            reader.read_exact(&mut half).unwrap();

            attack.strike(&target);

            let shown = format!("{way:?} {attack:?}");
            assert_eq!(*held, *target.weights, "{shown}: a slice held before");
            assert_eq!(*file.bytes().unwrap(), *target.weights, "{shown}: a slice taken after");
            reader.read_to_end(&mut half).unwrap();
            assert_eq!(half, target.weights, "{shown}: a reader half-way");
            reader.seek(SeekFrom::Start(0)).unwrap();
            assert_eq!(all(&mut reader), target.weights, "{shown}: a reader rewound");
            assert_eq!(all(&mut descriptor), target.weights, "{shown}: a descriptor taken before");
            assert_eq!(
                all(&mut file.descriptor().unwrap()),
                target.weights,
                "{shown}: a descriptor taken after"
            );
            for directory in [directory, model.directory().unwrap()] {
                let path = directory.file(WEIGHTS).unwrap();
                assert_eq!(fs::read(&path).unwrap(), target.weights, "{shown}: a path");
                let output = Command::new("cat").arg(&path).output().unwrap();
                assert!(output.status.success(), "{shown}: {output:?}");
                assert_eq!(output.stdout, target.weights, "{shown}: a path, in another process");
            }
        }
    }
}

fn all(reader: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_change_before_the_first_access_is_found() {
    for assurance in [Assurance::Private, Assurance::Sealed] {
        for form in [Form::Annotated, Form::Plain, Form::Shards] {
            for attack in Attack::ALL {
                let target = Target::new(form, 3000);
                let model = target.open((assurance, Verification::OnAccess)).unwrap();
                attack.strike(&target);
                let result = model.file(WEIGHTS).unwrap().bytes();
                let shown = format!("{assurance:?} {form:?} {attack:?}");
                if attack.reaches_the_inode() {
                    let code = denied(result);
                    let expected =
                        if attack == Attack::Rewrite { Code::FileDigestMismatch } else { Code::FileChanged };
                    assert_eq!(code, expected, "{shown}");
                    assert_eq!(denied(model.tensors()), code, "{shown}");
                    assert_eq!(denied(model.directory()), code, "{shown}");
                } else {
                    // The descriptor opened beneath the root still leads to the signed bytes.
                    assert_eq!(*result.unwrap(), *target.weights, "{shown}");
                }
            }
        }
    }
}

#[test]
fn a_mapping_shows_the_change_or_says_so() {
    for attack in Attack::ALL {
        let target = Target::new(Form::Annotated, 3000);
        let model = verify_and_map(target.source(), &name(), &target.mapped, &options(WAYS[0])).unwrap();
        let file = model.file(WEIGHTS).unwrap();
        assert_eq!(file.read().unwrap(), target.weights);
        attack.strike(&target);
        match attack {
            Attack::Truncate => {
                assert_eq!(denied(file.read()), Code::FileChanged);
                let mut buffer = [0; 8];
                assert_eq!(denied(file.read_at(&mut buffer, 100)), Code::FileChanged);
                assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 8);
            }
            // `mapped` promises nothing here: the table says that file permissions are all there is.
            Attack::Rewrite => assert_eq!(file.read().unwrap(), target.forged()),
            Attack::Append | Attack::RenameOver | Attack::Unlink => {
                assert_eq!(file.read().unwrap(), target.weights, "{attack:?}");
            }
        }
    }
}

#[test]
fn mapped_needs_the_word_of_the_policy() {
    let target = Target::new(Form::Annotated, 3000);
    let result = verify_and_map(target.source(), &name(), &target.policy, &options(WAYS[0]));
    assert_eq!(denied(result), Code::AssuranceBelowFloor);
}

/// What a change in the middle of an open may be called.
const FOUND: [Code; 4] = [Code::FileChanged, Code::FileDigestMismatch, Code::FileMissing, Code::FileSize];

/// Opens in a loop while another thread does everything to the file. Each open gives the signed bytes or a denial.
#[test]
fn an_open_in_the_middle_of_changes_gives_signed_bytes_or_a_denial() {
    for form in [Form::Annotated, Form::Plain, Form::Shards] {
        let target = Target::new(form, if form == Form::Shards { 200_000 } else { 3_000_000 });
        let stop = AtomicBool::new(false);
        let (mut allowed, mut refused) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| attack_until(&target, &stop));
            // A panic in here must not leave the attacker running for ever.
            let _stopping = Stopping(&stop);
            let end = Instant::now() + Duration::from_secs(4);
            for way in WAYS.into_iter().cycle() {
                if Instant::now() > end {
                    break;
                }
                match target.open(way).and_then(|model| Ok((contents(&model)?, model))) {
                    Ok((found, model)) => {
                        allowed += 1;
                        let weights = &found.iter().find(|(path, _)| path == WEIGHTS).unwrap().1;
                        assert!(*weights == target.weights, "{form:?} {way:?}: other bytes were handed out");
                        let bytes = model.file(WEIGHTS).unwrap().bytes().unwrap();
                        assert!(*bytes == *target.weights, "{form:?} {way:?}: handed-out bytes changed");
                    }
                    Err(error) => {
                        refused += 1;
                        assert!(FOUND.contains(&error.code()), "{form:?} {way:?}: {error}");
                    }
                }
                let mapped = verify_and_map(target.source(), &name(), &target.mapped, &options(way));
                if let Err(error) = mapped {
                    assert!(FOUND.contains(&error.code()), "{form:?} mapped: {error}");
                }
            }
        });
        println!("{form:?}: {allowed} allowed, {refused} denied");
        assert!(allowed > 0, "{form:?}: no open met a quiet moment, so nothing was tested");
        assert!(refused > 0, "{form:?}: no open met a change, so nothing was tested");
        for way in WAYS {
            contents(&target.open(way).unwrap()).unwrap();
        }
    }
}

struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Strikes and repairs in turn, with pauses of different lengths. Ends with the signed file in place.
fn attack_until(target: &Target, stop: &AtomicBool) {
    for (round, attack) in (0_u64..).zip(Attack::ALL.into_iter().cycle()) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        attack.strike(target);
        std::thread::sleep(Duration::from_micros(round * 37 % 1500));
        // Half of the repairs happen in place, below the eyes of whoever has the file open.
        if round % 2 == 0 || attack == Attack::Unlink {
            replace(target.model.path(), &target.path(), &target.weights);
        } else {
            let file = FileOptions::new().write(true).open(target.path()).unwrap();
            file.set_len(u64::try_from(target.weights.len()).unwrap()).unwrap();
            file.write_all_at(&target.weights, 0).unwrap();
        }
        std::thread::sleep(Duration::from_micros(round * 211 % 40_000));
    }
}

#[test]
fn a_sealed_descriptor_refuses_every_change() {
    let target = Target::new(Form::Annotated, 3000);
    for way in WAYS {
        let model = target.open(way).unwrap();
        let file = model.file(WEIGHTS).unwrap();
        let mut read_only = file.descriptor().unwrap();
        assert!(read_only.write(b"x").is_err(), "{way:?}: written through the read-only descriptor");

        // The same file again, for writing, as any process of this user may ask for.
        let path = format!("/proc/self/fd/{}", read_only.as_raw_fd());
        let writable = FileOptions::new().read(true).write(true).open(&path).unwrap();
        assert!(writable.write_at(b"x", 0).is_err(), "{way:?}: written");
        assert!(writable.write_at(b"x", 1 << 20).is_err(), "{way:?}: written beyond the end");
        assert!(writable.set_len(0).is_err(), "{way:?}: truncated");
        assert!(writable.set_len(1 << 20).is_err(), "{way:?}: grown");
        assert!(map_for_writing(&writable).is_err(), "{way:?}: mapped for writing");
        let punch = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        assert!(rustix::fs::fallocate(&writable, punch, 0, 4096).is_err(), "{way:?}: a hole was punched");
        let none = rustix::fs::SealFlags::empty();
        assert!(rustix::fs::fcntl_add_seals(&writable, none).is_err(), "{way:?}: seals can be added");
        let directory = model.directory().unwrap();
        let shown = directory.file(WEIGHTS).unwrap();
        let status = Command::new("sh").args(["-c", "echo x > \"$0\""]).arg(&shown).output().unwrap().status;
        assert!(!status.success(), "{way:?}: another process wrote through the path");
        assert_eq!(fs::read(&shown).unwrap(), target.weights);
        assert_eq!(*file.bytes().unwrap(), *target.weights);
        assert_eq!(all(&mut read_only), target.weights);
        assert_eq!(fs::read(target.path()).unwrap(), target.weights, "{way:?}: the original was written");
    }
}

fn map_for_writing(file: &File) -> Result<(), rustix::io::Errno> {
    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

    #[expect(unsafe_code, reason = "the kernel's refusal is what is tested")]
    // SAFETY: a new mapping at an address of the kernel's choice aliases nothing; it is removed unused.
    unsafe {
        let mapping =
            mmap(std::ptr::null_mut(), 4096, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0)?;
        munmap(mapping, 4096)
    }
}

/// What happens to a name between the walk and the open, and what it is called. The function gets the model and a
/// directory outside it.
struct Swap(&'static str, fn(&Path, &Path), Code);

#[test]
fn a_name_that_becomes_something_else_is_denied() {
    let swaps: [Swap; 7] = [
        Swap(
            "a directory becomes a link to its twin outside",
            |model, outside| {
                write_model(outside);
                fs::rename(model.join("weights"), outside.join("moved")).unwrap();
                symlink(outside.join("moved"), model.join("weights")).unwrap();
            },
            Code::FileSymlink,
        ),
        Swap(
            "a directory becomes a link within",
            |model, _| {
                fs::rename(model.join("weights"), model.join("moved")).unwrap();
                symlink("moved", model.join("weights")).unwrap();
            },
            Code::FileSymlink,
        ),
        Swap(
            "a file becomes a link to the same bytes",
            |model, outside| {
                fs::rename(model.join(WEIGHTS), outside.join("bytes")).unwrap();
                symlink(outside.join("bytes"), model.join(WEIGHTS)).unwrap();
            },
            Code::FileSymlink,
        ),
        Swap(
            "a file becomes a pipe that nobody writes to",
            |model, _| {
                fs::remove_file(model.join(WEIGHTS)).unwrap();
                assert!(Command::new("mkfifo").arg(model.join(WEIGHTS)).status().unwrap().success());
            },
            Code::FileNotRegular,
        ),
        Swap(
            "a file becomes a directory",
            |model, _| {
                fs::remove_file(model.join(WEIGHTS)).unwrap();
                fs::create_dir(model.join(WEIGHTS)).unwrap();
            },
            Code::FileNotRegular,
        ),
        Swap("a file goes", |model, _| fs::remove_file(model.join(WEIGHTS)).unwrap(), Code::FileMissing),
        Swap(
            "a file becomes another of the same size",
            |model, _| {
                let mut bytes = fs::read(model.join(WEIGHTS)).unwrap();
                bytes.reverse();
                replace(model, &model.join(WEIGHTS), &bytes);
            },
            Code::FileChanged,
        ),
    ];
    for Swap(what, swap, expected) in swaps {
        for way in WAYS {
            let target = Target::new(Form::Annotated, 3000);
            let outside = tempfile::tempdir().unwrap();
            let approval = target.approve();
            swap(target.model.path(), outside.path());
            let result = approval.open_with(&options(way)).and_then(|model| contents(&model));
            assert_eq!(denied(result), expected, "{what}, {way:?}");
        }
    }
}

/// The root is held by descriptor: another directory under its name is another model.
#[test]
fn a_root_that_is_renamed_stays_the_one_that_was_walked() {
    for way in WAYS {
        let target = Target::new(Form::Annotated, 3000);
        let approval = target.approve();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::rename(target.model.path(), elsewhere.path().join("model")).unwrap();
        fs::create_dir(target.model.path()).unwrap();
        write_model(target.model.path());
        fs::write(target.path(), target.forged()).unwrap();
        let model = approval.open_with(&options(way)).unwrap();
        assert_eq!(*model.file(WEIGHTS).unwrap().bytes().unwrap(), *target.weights, "{way:?}");
    }
}
