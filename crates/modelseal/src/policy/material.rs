//! Trust material: every file that a policy names, read once, and what the publishers make of it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};
use toml::Spanned;

use super::TrustedPublisher;
use super::document::{Files, Material, MaxAge, Method, Origin, Owner, PlannedPublisher, Root};
use super::fault::Problem;
use crate::clock::{Clock, Timestamp};
use crate::error::{Code, Error, Evidence, Fault};
use crate::limits;
use crate::trust::{Anchors, PublicKey, Trust, TrustedRoot};

/// How far a file's date may lie ahead of the clock. Machines disagree by minutes, time zones by a day; a date
/// further ahead would keep a trusted root from ever growing old.
const AHEAD_SECONDS: i64 = 86_400;

/// A file as it was read.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    /// Its modification time; `None` before 1970.
    date: Option<Timestamp>,
}

/// Reads one regular file, following links: Kubernetes mounts a ConfigMap as links.
pub(super) fn read(path: &Path) -> Result<Content, ReadProblem> {
    let file = open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(ReadProblem::NotRegular);
    }
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large from one that just fits.
    file.take(limits::POLICY_BYTES.saturating_add(1)).read_to_end(&mut bytes)?;
    if exceeds_limit(&bytes) {
        return Err(ReadProblem::TooLarge);
    }
    let since_epoch = metadata.modified()?.duration_since(UNIX_EPOCH).ok();
    let date = since_epoch
        .and_then(|elapsed| i64::try_from(elapsed.as_secs()).ok())
        .and_then(Timestamp::from_seconds);
    Ok(Content { bytes, date })
}

pub(super) fn exceeds_limit(bytes: &[u8]) -> bool {
    !u64::try_from(bytes.len()).is_ok_and(|length| length <= limits::POLICY_BYTES)
}

/// Without waiting: opening a FIFO would otherwise wait for a writer.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ReadProblem {
    #[error("there is no such file")]
    Absent,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not a regular file")]
    NotRegular,
    #[error("it is larger than {} bytes", limits::POLICY_BYTES)]
    TooLarge,
}

/// What [`resolve`] makes of the publishers of a plan.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) publishers: Vec<TrustedPublisher>,
    /// Every file that was read, as the document names it, with its SHA-256, in the order of the document.
    pub(super) files: Vec<(String, [u8; 32])>,
}

/// Reads and parses the trust material of all publishers, used or not: a policy that names a broken file is broken.
pub(super) fn resolve(
    publishers: Vec<PlannedPublisher>,
    origin: &Origin,
    clock: Clock,
) -> Result<Resolved, Error> {
    let mut store = Store { origin, clock, read: BTreeMap::new(), files: Vec::new() };
    let publishers = publishers
        .into_iter()
        .map(|publisher| store.publisher(publisher))
        .collect::<Result<Vec<TrustedPublisher>, Error>>()?;
    Ok(Resolved { publishers, files: store.files })
}

struct Store<'a> {
    origin: &'a Origin,
    clock: Clock,
    read: BTreeMap<PathBuf, Rc<Content>>,
    files: Vec<(String, [u8; 32])>,
}

impl Store<'_> {
    fn publisher(&mut self, planned: PlannedPublisher) -> Result<TrustedPublisher, Error> {
        let PlannedPublisher { name, owner, method } = planned;
        let (trust, root_age) = match method {
            Method::Certificate { anchors, subject, strict } => {
                (Trust::Certificate { anchors: self.anchors(&owner, &anchors)?, subject, strict }, None)
            }
            Method::Key { keys } => (Trust::Key { keys: self.keys(&owner, &keys)? }, None),
            Method::Keyless { identity, issuer, root } => {
                let (root, root_age) = self.root(&name, &owner, &root)?;
                (Trust::Keyless { identity, issuer, root }, root_age)
            }
        };
        Ok(TrustedPublisher { name, trust, root_age })
    }

    fn anchors(&mut self, owner: &Owner, materials: &[Material]) -> Result<Anchors, Error> {
        let mut texts = Vec::with_capacity(materials.len());
        for material in materials {
            let text = self.text(owner, material)?;
            // One by one first: only so can the message name the file that is broken.
            Anchors::from_pem([text.as_str()]).map_err(|error| self.unusable(owner, material, error))?;
            texts.push(text);
        }
        Anchors::from_pem(texts.iter().map(String::as_str))
    }

    fn keys(&mut self, owner: &Owner, materials: &[Material]) -> Result<Vec<PublicKey>, Error> {
        let mut keys = Vec::with_capacity(materials.len());
        for material in materials {
            let text = self.text(owner, material)?;
            if text.matches("-----BEGIN PUBLIC KEY-----").count() > 1 {
                return Err(self.broken(owner, material, "it holds several keys; one is allowed".to_owned()));
            }
            keys.push(PublicKey::from_pem(&text).map_err(|error| self.unusable(owner, material, error))?);
        }
        Ok(keys)
    }

    fn root(
        &mut self,
        name: &str,
        owner: &Owner,
        root: &Root,
    ) -> Result<(TrustedRoot, Option<RootAge>), Error> {
        let (file, max_age) = match root {
            Root::Embedded => return Ok((TrustedRoot::embedded()?, None)),
            Root::File { file, max_age } => (file, max_age),
        };
        let content = self.content(owner, file)?;
        let root_age = match max_age {
            MaxAge::Unlimited => None,
            MaxAge::Seconds(max_age_seconds) => {
                let age = RootAge {
                    document: self.origin.shown.clone(),
                    line: self.origin.line(&file.span()),
                    publisher: name.to_owned(),
                    file: file.get_ref().clone(),
                    date: content.date,
                    max_age_seconds: *max_age_seconds,
                };
                age.check(self.clock.read())?;
                Some(age)
            }
        };
        let root = TrustedRoot::parse(&content.bytes, content.date)
            .map_err(|error| self.unusable(owner, &Material::File(file.clone()), error))?;
        Ok((root, root_age))
    }

    fn text(&mut self, owner: &Owner, material: &Material) -> Result<String, Error> {
        match material {
            Material::Pem(text) => Ok(text.get_ref().clone()),
            Material::File(name) => {
                let content = self.content(owner, name)?;
                String::from_utf8(content.bytes.clone())
                    .map_err(|_| self.broken(owner, material, "it is not text".to_owned()))
            }
        }
    }

    /// The bytes of a named file. A file that is named twice is read once, and both names see the same bytes.
    fn content(&mut self, owner: &Owner, file: &Spanned<String>) -> Result<Rc<Content>, Error> {
        let name = file.get_ref();
        let path = match &self.origin.files {
            Files::Directory(directory) => directory.join(name),
            Files::Absent | Files::Given(_) => PathBuf::from(name),
        };
        if let Some(content) = self.read.get(&path) {
            return Ok(Rc::clone(content));
        }
        if self.read.len() >= limits::POLICY_FILES {
            return Err(self.origin.fault(owner, &file.span(), Problem::TooManyFiles));
        }
        let content = match &self.origin.files {
            Files::Absent => Err(ReadProblem::Absent),
            Files::Directory(_) => read(&path),
            Files::Given(given) => match given.get(name) {
                Some(bytes) => Ok(Content { bytes: bytes.clone(), date: None }),
                None => Err(ReadProblem::Absent),
            },
        };
        let content = Rc::new(
            content
                .map_err(|problem| self.broken(owner, &Material::File(file.clone()), problem.to_string()))?,
        );
        self.files.push((name.clone(), Sha256::digest(&content.bytes).into()));
        self.read.insert(path, Rc::clone(&content));
        Ok(content)
    }

    fn broken(&self, owner: &Owner, material: &Material, detail: String) -> Error {
        self.origin.fault(
            owner,
            &material.span(),
            Problem::Material { material: material.to_string(), detail },
        )
    }

    fn unusable(&self, owner: &Owner, material: &Material, error: Error) -> Error {
        let detail = error.message().to_owned();
        let fault = if error.code() == Code::KeyUnsupported {
            // The material was read and understood; the key in it is not acceptable.
            let problem = Problem::Key { material: material.to_string(), detail };
            self.origin.fault(owner, &material.span(), problem)
        } else {
            self.broken(owner, material, detail)
        };
        fault.because(error)
    }
}

/// The age limit of a trusted root that a policy names. Checked when the policy is loaded and again with the time of
/// every check, because a server may keep a policy for longer than the root stays fresh.
///
/// A trusted root says of no part of itself when it was issued. The file's modification time is the best evidence
/// there is of when it was last fetched; whoever could forge it could replace the file.
#[derive(Clone, Debug)]
pub(crate) struct RootAge {
    document: String,
    line: Option<usize>,
    publisher: String,
    file: String,
    date: Option<Timestamp>,
    max_age_seconds: i64,
}

impl RootAge {
    /// The last moment at which the root is fresh. `None` if its date cannot be used.
    pub(crate) fn fresh_until(&self) -> Option<Timestamp> {
        self.date?.seconds().checked_add(self.max_age_seconds).and_then(Timestamp::from_seconds)
    }

    /// Whether the root is fresh at a time, which is `None` if the clock cannot be read.
    ///
    /// # Errors
    ///
    /// `trust.stale`.
    pub(crate) fn check(&self, now: Option<Timestamp>) -> Result<(), Error> {
        let problem = match (self.date, self.fresh_until(), now) {
            (_, _, None) => RootProblem::ClockUnreadable,
            (Some(date), Some(fresh_until), Some(now)) => {
                if date.seconds().saturating_sub(now.seconds()) > AHEAD_SECONDS {
                    RootProblem::Ahead { date, now }
                } else if now > fresh_until {
                    RootProblem::Stale { date, fresh_until, now }
                } else {
                    return Ok(());
                }
            }
            (None, _, Some(_)) | (_, None, Some(_)) => RootProblem::Undated,
        };
        Err(RootFault {
            document: self.document.clone(),
            line: self.line,
            publisher: self.publisher.clone(),
            file: self.file.clone(),
            problem,
        }
        .into())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("publisher '{publisher}': the trusted root '{file}' {problem}")]
struct RootFault {
    document: String,
    line: Option<usize>,
    publisher: String,
    file: String,
    problem: RootProblem,
}

#[derive(Debug, thiserror::Error)]
enum RootProblem {
    #[error("is dated {date}, but it is {now}")]
    Ahead { date: Timestamp, now: Timestamp },
    #[error("cannot be called fresh, because the clock cannot be read")]
    ClockUnreadable,
    #[error("is of {date} and was fresh until {fresh_until}; it is {now}")]
    Stale { date: Timestamp, fresh_until: Timestamp, now: Timestamp },
    #[error("has no usable modification time")]
    Undated,
}

impl Fault for RootFault {
    fn code(&self) -> Code {
        Code::TrustStale
    }

    fn path(&self) -> Option<String> {
        Some(self.document.clone())
    }

    fn evidence(&self) -> Vec<Evidence> {
        self.line.map(|line| Evidence::new("line", line)).into_iter().collect()
    }

    fn remedy(&self) -> Option<String> {
        match self.problem {
            RootProblem::Ahead { .. } | RootProblem::ClockUnreadable => {
                Some("Correct the clock or the file's modification time.".to_owned())
            }
            RootProblem::Undated => {
                Some("Fetch the trusted root again, or write `max_age = \"unlimited\"`.".to_owned())
            }
            RootProblem::Stale { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::*;

    #[test]
    fn files_are_counted() {
        let text = "version = 1\n[[publisher]]\nname = \"ci\"\nkey = { public = [\"ci.pem\"] }\n\
                    [[model]]\nmatch = \"*\"\npublishers = [\"ci\"]\n";
        let origin = Origin::new("policy.toml".to_owned(), text, Files::Directory("/nowhere".into()));
        let mut plan = Document::parse(text, &origin).unwrap().check(&origin).unwrap();
        let content = Rc::new(Content { bytes: Vec::new(), date: None });
        let read =
            (0..limits::POLICY_FILES).map(|index| (PathBuf::from(format!("{index}")), Rc::clone(&content)));
        let mut store =
            Store { origin: &origin, clock: Clock::System, read: read.collect(), files: Vec::new() };
        let error = store.publisher(plan.publishers.remove(0)).unwrap_err();
        assert_eq!(error.code(), Code::TrustUnreadable);
        assert!(error.message().contains("more than 256 files"), "{error}");
    }

    fn age(date: Option<i64>) -> RootAge {
        RootAge {
            document: "policy.toml".to_owned(),
            line: Some(7),
            publisher: "robot".to_owned(),
            file: "root.json".to_owned(),
            date: date.and_then(Timestamp::from_seconds),
            max_age_seconds: 100,
        }
    }

    #[test]
    fn a_root_is_fresh_to_its_last_second() {
        let check =
            |seconds| age(Some(1000)).check(Timestamp::from_seconds(seconds)).map_err(|error| error.code());
        assert_eq!(check(1100), Ok(()));
        assert_eq!(check(1101), Err(Code::TrustStale));
        assert_eq!(age(Some(1000)).fresh_until(), Timestamp::from_seconds(1100));
    }

    #[test]
    fn a_root_without_date_or_clock_is_stale() {
        let now = Timestamp::from_seconds(1000);
        assert_eq!(age(None).check(now).unwrap_err().code(), Code::TrustStale);
        assert_eq!(age(Some(1000)).check(None).unwrap_err().code(), Code::TrustStale);
        let last = Timestamp::parse("9999-12-30T21:59:59Z").unwrap();
        assert_eq!(
            age(Some(last.seconds())).check(Some(last)).map_err(|error| error.code()),
            Err(Code::TrustStale)
        );
    }
}
