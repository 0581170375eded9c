//! How much memory an unreclaimable copy may take.
//!
//! A copy in anonymous or shared memory cannot be reclaimed: past the limit the kernel kills a process, which is worse
//! than an error. So the limits are read beforehand. Clean file cache counts as free, because the kernel drops it on
//! demand; without that a machine that just read the model would seem full.

use std::path::{Path, PathBuf};

/// Memory that can be taken, and the limit that says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Available {
    pub(crate) bytes: u64,
    /// The tightest limit, in words: evidence for the error.
    pub(crate) limit: String,
}

/// The memory that can be taken now: the least of the machine's `MemAvailable` and of what each cgroup from this
/// process's own up to the root leaves (version 2, and the memory controller of version 1).
///
/// `None` if neither `/proc` nor the cgroups can be read: then nothing is known, and the caller must be ready for an
/// allocation that fails. A snapshot: others may take the memory in the meantime.
pub(crate) fn available() -> Option<Available> {
    available_in(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
}

fn available_in(proc: &Path, cgroups: &Path) -> Option<Available> {
    let memberships = std::fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let cgroups = memberships.lines().filter_map(|line| Cgroup::parse(line, cgroups));
    machine(proc)
        .into_iter()
        .chain(cgroups.flat_map(|cgroup| cgroup.limits()))
        .min_by_key(|limit| limit.bytes)
}

fn machine(proc: &Path) -> Option<Available> {
    let text = std::fs::read_to_string(proc.join("meminfo")).ok()?;
    let kilobytes: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    Some(Available { bytes: kilobytes.checked_mul(1024)?, limit: "MemAvailable of the machine".to_owned() })
}

/// One line of `/proc/self/cgroup`, if it belongs to the hierarchy that accounts memory.
struct Cgroup {
    mount: PathBuf,
    path: PathBuf,
    files: &'static Files,
}

/// What the two versions call the same things (Linux `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/memory.rst`).
struct Files {
    limit: &'static str,
    usage: &'static str,
    cache: [&'static str; 2],
    /// Cache that must be written out first, so it is not free now.
    unclean: [&'static str; 2],
}

const VERSION_1: Files = Files {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    cache: ["total_inactive_file", "total_active_file"],
    unclean: ["total_dirty", "total_writeback"],
};

const VERSION_2: Files = Files {
    limit: "memory.max",
    usage: "memory.current",
    cache: ["inactive_file", "active_file"],
    unclean: ["file_dirty", "file_writeback"],
};

impl Cgroup {
    fn parse(line: &str, mount: &Path) -> Option<Self> {
        let mut fields = line.splitn(3, ':');
        let (hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let path = PathBuf::from(path.trim_start_matches('/'));
        if hierarchy == "0" && controllers.is_empty() {
            return Some(Self { mount: mount.to_owned(), path, files: &VERSION_2 });
        }
        let accounts_memory = controllers.split(',').any(|controller| controller == "memory");
        accounts_memory.then(|| Self { mount: mount.join("memory"), path, files: &VERSION_1 })
    }

    /// From the process's own cgroup up to the root of the mount. Where the container sees another root than the host
    /// wrote down, the lower directories do not exist and only the root counts: it is the container's own.
    fn limits(self) -> impl Iterator<Item = Available> {
        let ancestors: Vec<PathBuf> = self.path.ancestors().map(Path::to_path_buf).collect();
        ancestors.into_iter().filter_map(move |path| self.limit(&path))
    }

    fn limit(&self, path: &Path) -> Option<Available> {
        let directory = self.mount.join(path);
        let read = |name: &str| std::fs::read_to_string(directory.join(name)).ok();
        // "max" is no number: no limit here. Version 1 writes a number near 2^63 instead, which never is the least.
        let limit: u64 = read(self.files.limit)?.trim().parse().ok()?;
        let usage: u64 = read(self.files.usage)?.trim().parse().ok()?;
        let statistics = read("memory.stat").unwrap_or_default();
        let sum = |names: [&str; 2]| {
            names.into_iter().fold(0_u64, |sum, name| sum.saturating_add(statistic(&statistics, name)))
        };
        let clean = sum(self.files.cache).saturating_sub(sum(self.files.unclean));
        let bytes = limit.saturating_sub(usage.saturating_sub(clean));
        Some(Available { bytes, limit: format!("{} of cgroup /{}", self.files.limit, path.display()) })
    }
}

/// A counter of `memory.stat`. Without it no cache is known to be free, which errs on the safe side.
fn statistic(text: &str, name: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn write(root: &Path, files: &[(&str, String)]) {
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    fn measure(files: &[(&str, String)]) -> Option<Available> {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), files);
        available_in(&root.path().join("proc"), &root.path().join("cgroup"))
    }

    fn meminfo(bytes: u64) -> (&'static str, String) {
        ("proc/meminfo", format!("MemTotal: 99999999 kB\nMemAvailable:   {} kB\n", bytes / 1024))
    }

    #[test]
    fn this_machine_has_memory() {
        let available = available().unwrap();
        assert!(available.bytes > 1 << 20, "{available:?}");
    }

    #[test]
    fn without_proc_nothing_is_known() {
        assert_eq!(measure(&[]), None);
    }

    #[test]
    fn without_cgroups_the_machine_is_the_limit() {
        let available = measure(&[meminfo(8 * GIB)]).unwrap();
        assert_eq!(available.bytes, 8 * GIB);
        assert_eq!(available.limit, "MemAvailable of the machine");
    }

    #[test]
    fn the_tightest_ancestor_counts_and_clean_cache_is_free() {
        let available = measure(&[
            meminfo(64 * GIB),
            ("proc/self/cgroup", "0::/pods/pod/server\n".to_owned()),
            ("cgroup/pods/pod/server/memory.max", "max\n".to_owned()),
            ("cgroup/pods/pod/server/memory.current", format!("{GIB}\n")),
            ("cgroup/pods/pod/memory.max", format!("{}\n", 10 * GIB)),
            ("cgroup/pods/pod/memory.current", format!("{}\n", 9 * GIB)),
            (
                "cgroup/pods/pod/memory.stat",
                format!(
                    "anon 5\ninactive_file {}\nactive_file {GIB}\nfile_dirty {GIB}\nfile_writeback 0\n",
                    6 * GIB
                ),
            ),
            ("cgroup/pods/memory.max", format!("{}\n", 32 * GIB)),
            ("cgroup/pods/memory.current", format!("{}\n", 20 * GIB)),
        ])
        .unwrap();
        // 10 - (9 - (6 + 1 - 1)) = 7, less than 32 - 20 = 12.
        assert_eq!(available.bytes, 7 * GIB);
        assert_eq!(available.limit, "memory.max of cgroup /pods/pod");
    }

    #[test]
    fn a_container_that_sees_only_its_own_root() {
        let available = measure(&[
            meminfo(64 * GIB),
            ("proc/self/cgroup", "7:cpu,memory:/docker/0123\n0::/\n".to_owned()),
            ("cgroup/memory/memory.limit_in_bytes", format!("{}\n", 2 * GIB)),
            ("cgroup/memory/memory.usage_in_bytes", format!("{}\n", 3 * GIB)),
        ])
        .unwrap();
        assert_eq!(available.bytes, 0, "over the limit, and no cache is known to be clean");
        assert_eq!(available.limit, "memory.limit_in_bytes of cgroup /");
    }
}
