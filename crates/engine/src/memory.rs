//! How much memory there is for a model: `MemAvailable`, the limit of every control group above
//! this process, and the addresses that a process has, whichever leaves least.
//!
//! The kernel's files are text of its own making; they are parsed all the same as if they might be
//! anything. What cannot be read does not limit. Read just before a model is loaded, in the daemon.

use std::fs;
use std::path::{Path, PathBuf};

const BYTES_PER_KIBIBYTE: u64 = 1_024;
/// Deepest nesting of control groups that is followed.
const MAX_CGROUP_DEPTH: usize = 32;

/// Most memory of a process, whatever the machine has. With addresses of 32 bits that is 2 GiB
/// where the kernel keeps the other half (`VMSPLIT_2G`), less room for the program, its libraries,
/// stacks and the gaps between them.
pub const MOST_PROCESS_BYTES: u64 = if cfg!(target_pointer_width = "32") {
    (2 << 30) - (256 << 20)
} else {
    u64::MAX
};

/// Where the kernel's files are; tests have their own.
#[derive(Debug, Clone)]
pub struct Sources {
    /// `/proc/meminfo`.
    pub meminfo: PathBuf,
    /// `/proc/self/cgroup`.
    pub cgroup: PathBuf,
    /// `/sys/fs/cgroup`.
    pub cgroup_root: PathBuf,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            meminfo: "/proc/meminfo".into(),
            cgroup: "/proc/self/cgroup".into(),
            cgroup_root: "/sys/fs/cgroup".into(),
        }
    }
}

/// Memory that a new process could use, in bytes; [`MOST_PROCESS_BYTES`] when nothing can be found
/// out.
#[must_use]
pub fn available_bytes(sources: &Sources) -> u64 {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let machine = meminfo_available(&read(&sources.meminfo));
    cgroup_directories(&read(&sources.cgroup), &sources.cgroup_root)
        .iter()
        .filter_map(|directory| directory.headroom_bytes())
        .chain(machine)
        .fold(MOST_PROCESS_BYTES, u64::min)
}

/// `MemAvailable`: what can be had without swapping, reclaimable cache included.
fn meminfo_available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(BYTES_PER_KIBIBYTE)
}

/// One control group with a memory controller.
struct Directory {
    path: PathBuf,
    is_v2: bool,
}

impl Directory {
    /// Limit less use; cache that can be dropped does not count as use.
    fn headroom_bytes(&self) -> Option<u64> {
        let (limit, used, cache_keys): (&str, &str, [&str; 2]) = if self.is_v2 {
            (
                "memory.max",
                "memory.current",
                ["inactive_file ", "active_file "],
            )
        } else {
            (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                ["total_inactive_file ", "total_active_file "],
            )
        };
        let read = |name: &str| fs::read_to_string(self.path.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let limit = number(limit)?;
        let used = number(used)?;
        let stat = read("memory.stat").unwrap_or_default();
        let cache = stat
            .lines()
            .filter_map(|line| cache_keys.iter().find_map(|key| line.strip_prefix(key)))
            .filter_map(|value| value.trim().parse::<u64>().ok())
            .fold(0, u64::saturating_add);
        Some(limit.saturating_sub(used.saturating_sub(cache)))
    }
}

/// This process's groups and all above them, of both versions of the interface.
fn cgroup_directories(cgroup: &str, root: &Path) -> Vec<Directory> {
    let mut found = Vec::new();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let is_v2 = controllers.is_empty();
        if !is_v2 && !controllers.split(',').any(|name| name == "memory") {
            continue;
        }
        let base = if is_v2 {
            root.to_owned()
        } else {
            root.join("memory")
        };
        let relative = Path::new(path.trim_start_matches('/'));
        if relative
            .components()
            .any(|part| part == std::path::Component::ParentDir)
        {
            continue;
        }
        let groups = relative.ancestors().take(MAX_CGROUP_DEPTH);
        found.extend(groups.map(|group| Directory {
            path: base.join(group),
            is_v2,
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn sources(root: &Path) -> Sources {
        Sources {
            meminfo: root.join("meminfo"),
            cgroup: root.join("cgroup"),
            cgroup_root: root.join("fs"),
        }
    }

    #[test]
    fn without_any_file_nothing_limits() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(available_bytes(&sources(dir.path())), MOST_PROCESS_BYTES);
    }

    #[test]
    fn the_least_of_machine_and_groups_counts() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            &root.join("meminfo"),
            "MemTotal: 999 kB\nMemAvailable:   4000 kB\n",
        );
        assert_eq!(available_bytes(&sources(root)), 4_096_000);

        write(&root.join("cgroup"), "0::/a/b\n");
        write(&root.join("fs/a/memory.max"), "3000\n");
        write(&root.join("fs/a/memory.current"), "2500\n");
        write(
            &root.join("fs/a/memory.stat"),
            "anon 1\ninactive_file 300\nactive_file 200\n",
        );
        write(&root.join("fs/a/b/memory.max"), "max\n");
        write(&root.join("fs/a/b/memory.current"), "7\n");
        assert_eq!(available_bytes(&sources(root)), 1_000);
    }

    #[test]
    fn the_older_interface_counts_too() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            &root.join("cgroup"),
            "4:cpu:/x\n3:memory,other:/x\n2:memory:/../../etc\n",
        );
        write(&root.join("fs/memory/x/memory.limit_in_bytes"), "500");
        write(&root.join("fs/memory/x/memory.usage_in_bytes"), "100");
        assert_eq!(available_bytes(&sources(root)), 400);
    }
}
