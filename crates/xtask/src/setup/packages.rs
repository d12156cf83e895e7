//! Which tools are needed for what, and what each package manager calls them. Pure.
//! Used by `setup`.

use std::collections::BTreeSet;

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Compile the program, llama.cpp included.
    Build,
    /// Look at a volume as a host does.
    Volume,
    /// Run the checks and tests.
    Test,
    /// Boot guests with real kernels.
    Lab,
    /// Build the program for the board.
    Pi,
    /// Run the board's programs on this machine.
    Arm,
}

impl Purpose {
    /// All.
    pub const ALL: [Self; 6] = [
        Self::Build,
        Self::Volume,
        Self::Test,
        Self::Lab,
        Self::Pi,
        Self::Arm,
    ];
}

/// A package manager whose names are in [`TOOLS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// Debian, Ubuntu, Raspberry Pi OS.
    Apt,
    /// Fedora and its relatives.
    Dnf,
    /// Arch Linux and its relatives.
    Pacman,
    /// Homebrew.
    Brew,
}

impl Manager {
    /// All, in the order in which a machine that has several is asked.
    pub const ALL: [Self; 4] = [Self::Apt, Self::Dnf, Self::Pacman, Self::Brew];

    /// The program that shows that it is there.
    pub fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Pacman => "pacman",
            Self::Brew => "brew",
        }
    }

    /// What a person types before the names of packages.
    pub fn install_command(self) -> &'static str {
        match self {
            Self::Apt => "sudo apt-get install",
            Self::Dnf => "sudo dnf install",
            Self::Pacman => "sudo pacman -S --needed",
            Self::Brew => "brew install",
        }
    }
}

/// How a tool shows that it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// One of these programs is on the search path.
    AnyProgram(&'static [&'static str]),
    /// The library that bindgen loads when llama.cpp's bindings are made.
    Libclang,
}

/// Something that the system must have.
#[derive(Debug)]
pub struct Tool {
    /// What people call it; also its key.
    pub name: &'static str,
    /// Why it is needed, for the person who is about to get it installed.
    pub why: &'static str,
    /// What needs it.
    pub purpose: Purpose,
    /// How it is recognised.
    pub probe: Probe,
    /// The packages, in the order of [`Manager::ALL`].
    packages: [&'static str; 4],
}

impl Tool {
    /// The package that brings it.
    pub fn package(&self, manager: Manager) -> &'static str {
        let [apt, dnf, pacman, brew] = self.packages;
        match manager {
            Manager::Apt => apt,
            Manager::Dnf => dnf,
            Manager::Pacman => pacman,
            Manager::Brew => brew,
        }
    }
}

/// Everything that this project needs besides Rust and git.
pub const TOOLS: &[Tool] = &[
    Tool {
        name: "C++ compiler",
        why: "compiles llama.cpp, which runs the model",
        purpose: Purpose::Build,
        probe: Probe::AnyProgram(&["c++", "g++", "clang++"]),
        packages: ["g++", "gcc-c++", "gcc", "gcc"],
    },
    Tool {
        name: "make",
        why: "runs the compiler over llama.cpp's files",
        purpose: Purpose::Build,
        probe: Probe::AnyProgram(&["make", "gmake"]),
        packages: ["make", "make", "make", "make"],
    },
    Tool {
        name: "cmake",
        why: "configures llama.cpp's build",
        purpose: Purpose::Build,
        probe: Probe::AnyProgram(&["cmake"]),
        packages: ["cmake", "cmake", "cmake", "cmake"],
    },
    Tool {
        name: "libclang",
        why: "reads llama.cpp's headers to make its Rust bindings",
        purpose: Purpose::Build,
        probe: Probe::Libclang,
        packages: ["libclang-dev", "clang-devel", "clang", "llvm"],
    },
    Tool {
        name: "mtools",
        why: "puts files on a volume and reads them back, as a host would",
        purpose: Purpose::Volume,
        probe: Probe::AnyProgram(&["mcopy"]),
        packages: ["mtools", "mtools", "mtools", "mtools"],
    },
    Tool {
        name: "dosfstools",
        why: "fsck.fat and mkfs.fat: a second opinion on our volumes",
        purpose: Purpose::Volume,
        probe: Probe::AnyProgram(&["fsck.fat"]),
        packages: ["dosfstools", "dosfstools", "dosfstools", "dosfstools"],
    },
    Tool {
        name: "shellcheck",
        why: "checks the shell scripts",
        purpose: Purpose::Test,
        probe: Probe::AnyProgram(&["shellcheck"]),
        packages: ["shellcheck", "ShellCheck", "shellcheck", "shellcheck"],
    },
    Tool {
        name: "QEMU",
        why: "emulates the machines of the lab",
        purpose: Purpose::Lab,
        probe: Probe::AnyProgram(&["qemu-system-x86_64"]),
        packages: [
            "qemu-system-x86",
            "qemu-system-x86-core",
            "qemu-system-x86",
            "qemu",
        ],
    },
    Tool {
        name: "QEMU for ARM",
        why: "emulates the Pi Zero of the lab",
        purpose: Purpose::Lab,
        probe: Probe::AnyProgram(&["qemu-system-arm"]),
        packages: [
            "qemu-system-arm",
            "qemu-system-arm-core",
            "qemu-system-arm",
            "qemu",
        ],
    },
    Tool {
        name: "busybox",
        why: "the shell inside the guests of the lab",
        purpose: Purpose::Lab,
        probe: Probe::AnyProgram(&["busybox"]),
        packages: ["busybox-static", "busybox", "busybox", "busybox"],
    },
    Tool {
        name: "e2fsprogs",
        why: "mkfs.ext4 and e2fsck: the disk of a stick whose power is cut",
        purpose: Purpose::Lab,
        probe: Probe::AnyProgram(&["mkfs.ext4"]),
        packages: ["e2fsprogs", "e2fsprogs", "e2fsprogs", "e2fsprogs"],
    },
    Tool {
        name: "kmod",
        why: "depmod: which kernel modules need which",
        purpose: Purpose::Lab,
        probe: Probe::AnyProgram(&["depmod"]),
        packages: ["kmod", "kmod", "kmod", "kmod"],
    },
    Tool {
        name: "xz",
        why: "unpacks kernel modules",
        purpose: Purpose::Lab,
        probe: Probe::AnyProgram(&["xz"]),
        packages: ["xz-utils", "xz", "xz", "xz"],
    },
    Tool {
        name: "apt",
        why: "gets Debian's kernels",
        purpose: Purpose::Lab,
        probe: Probe::AnyProgram(&["apt-get"]),
        packages: ["apt", "apt", "apt", "apt"],
    },
    Tool {
        name: "dpkg",
        why: "unpacks Debian's kernels",
        purpose: Purpose::Lab,
        probe: Probe::AnyProgram(&["dpkg-deb"]),
        packages: ["dpkg", "dpkg", "dpkg", "dpkg"],
    },
    Tool {
        name: "pip",
        why: "gets the compiler for the board",
        purpose: Purpose::Pi,
        probe: Probe::AnyProgram(&["pip3"]),
        packages: ["python3-pip", "python3-pip", "python-pip", "python"],
    },
    Tool {
        name: "LLVM's tools",
        why: "strip the board's programs, and take them apart to check their instructions",
        purpose: Purpose::Pi,
        probe: Probe::AnyProgram(&["llvm-strip"]),
        packages: ["llvm", "llvm", "llvm", "llvm"],
    },
    Tool {
        name: "QEMU for programs",
        why: "runs the board's programs on this machine",
        purpose: Purpose::Arm,
        probe: Probe::AnyProgram(&["qemu-arm"]),
        packages: ["qemu-user", "qemu-user", "qemu-user", "qemu"],
    },
];

/// The tools for `purposes` whose names are not among `present`.
pub fn missing(purposes: &[Purpose], present: &BTreeSet<&str>) -> Vec<&'static Tool> {
    let wanted = TOOLS.iter().filter(|tool| purposes.contains(&tool.purpose));
    wanted.filter(|tool| !present.contains(tool.name)).collect()
}

/// The packages to install, each once.
pub fn to_install(missing: &[&Tool], manager: Manager) -> Vec<&'static str> {
    let names: BTreeSet<_> = missing.iter().map(|tool| tool.package(manager)).collect();
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_machine_needs_everything_that_the_purpose_needs_and_no_more() {
        let tools = missing(&[Purpose::Build], &BTreeSet::new());
        assert_eq!(
            to_install(&tools, Manager::Apt),
            ["cmake", "g++", "libclang-dev", "make"]
        );
    }

    #[test]
    fn what_is_there_is_not_installed_again() {
        let present = BTreeSet::from(["cmake", "mtools", "C++ compiler"]);
        let tools = missing(&[Purpose::Build, Purpose::Volume], &present);
        assert_eq!(
            to_install(&tools, Manager::Apt),
            ["dosfstools", "libclang-dev", "make"]
        );
    }

    #[test]
    fn a_package_that_brings_two_tools_is_named_once() {
        let tools = missing(&[Purpose::Build], &BTreeSet::from(["make", "cmake"]));
        assert_eq!(to_install(&tools, Manager::Pacman), ["clang", "gcc"]);
        let twice = [tools.first().copied(), tools.first().copied()];
        let twice: Vec<_> = twice.into_iter().flatten().collect();
        assert_eq!(to_install(&twice, Manager::Dnf), ["gcc-c++"]);
    }

    #[test]
    fn names_are_unique_and_every_tool_says_why() {
        let names: BTreeSet<_> = TOOLS.iter().map(|tool| tool.name).collect();
        assert_eq!(names.len(), TOOLS.len());
        assert!(TOOLS.iter().all(|tool| !tool.why.is_empty()));
    }
}
