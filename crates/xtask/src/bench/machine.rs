//! What a measurement needs: the static program for the board, the plugin, model files; and one
//! run of them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::figures::{self, Measurement, Region};
use super::plan::{GENERATED_TOKENS, PROMPT_TOKENS, Run};
use crate::cargo;
use crate::pi;
use crate::process;
use crate::setup::{self, Needed};

/// The emulator.
const EMULATOR: &str = "qemu-arm";
/// The core of the board.
const CORE: [&str; 2] = ["-cpu", "arm1176"];
/// The plugin's package.
const PLUGIN: &str = "armcost";

/// See the module.
pub struct Machine {
    program: PathBuf,
    plugin: PathBuf,
    /// For models and counts.
    folder: PathBuf,
    backends: Vec<Option<&'static str>>,
}

impl Machine {
    /// Builds the program, unless it is given, and the plugin, and looks what the program can do.
    ///
    /// # Errors
    /// A tool could not be installed, or something did not compile.
    pub fn prepare(program: Option<&Path>) -> anyhow::Result<Self> {
        setup::ensure(&[Needed::Arm])?;
        let program = match program {
            None => pi::build_static()?,
            Some(program) => program.to_path_buf(),
        };
        process::run(&mut cargo::command(&["build", "--package", PLUGIN])?)?;
        let output = cargo::output_folder()?;
        let folder = cargo::target_folder()?.join("bench");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let plugin = output.join(format!("lib{PLUGIN}.so"));
        // Copies, so that a build beside a long run does not change what is measured.
        let mut machine = Self {
            program: copy(&program, &folder)?,
            plugin: copy(&plugin, &folder)?,
            folder,
            backends: Vec::new(),
        };
        machine.backends = machine.find_backends()?;
        Ok(machine)
    }

    /// What can compute, llama.cpp's own first.
    pub fn backends(&self) -> &[Option<&'static str>] {
        &self.backends
    }

    fn find_backends(&self) -> anyhow::Result<Vec<Option<&'static str>>> {
        let mut command = process::command(EMULATOR);
        command.args(CORE).arg(&self.program);
        let help = process::output(command.args(["bench", "--help"]))?;
        Ok(match help.contains("--backend") {
            true => vec![Some("cpu"), Some("armv6")],
            false => vec![None],
        })
    }

    fn model(&self, run: &Run) -> PathBuf {
        let subject = run.subject;
        self.folder
            .join(format!("{}-{}.gguf", subject.shape, subject.format))
    }

    /// Writes the model files of all runs, which takes seconds.
    ///
    /// # Errors
    /// No room.
    pub fn make_models(&self, runs: &[Run]) -> anyhow::Result<()> {
        let mut done = BTreeSet::new();
        for run in runs {
            let file = self.model(run);
            if !done.insert(file.clone()) {
                continue;
            }
            let spec = run.subject.spec().context("no such shape or format")?;
            let cannot = || format!("cannot write {}", file.display());
            let part = file.with_extension("part");
            spec.write(&part).with_context(cannot)?;
            replace(&part, &file).with_context(cannot)?;
        }
        Ok(())
    }

    /// One run. It is not repeated when nothing has changed since it was done.
    ///
    /// # Errors
    /// The program failed, or the plugin wrote nothing that can be used.
    pub fn measure(&self, run: &Run) -> anyhow::Result<Vec<Measurement>> {
        let counts = self.counts(run);
        let inputs = [&self.program, &self.plugin, &self.model(run)];
        if inputs.iter().all(|input| is_newer(&counts, input))
            && let Ok(regions) = read(&counts)
        {
            return figures::measurements(run, &regions);
        }
        let mut command = process::command(EMULATOR);
        let plugin = format!("{},out={}", self.plugin.display(), counts.display());
        command.args(CORE).args(["-plugin", &plugin]);
        command.arg(&self.program).arg("bench").arg("--model");
        command.arg(self.model(run));
        let numbers = [
            ("--position", run.cached_tokens()),
            ("-p", PROMPT_TOKENS),
            ("-n", GENERATED_TOKENS),
        ];
        for (option, number) in numbers {
            command.args([option, &number.to_string()]);
        }
        if let Some(backend) = run.backend {
            command.args(["--backend", backend]);
        }
        let said = process::output(&mut command)?;
        let regions = read(&counts)?;
        ensure!(!regions.is_empty(), "{run}: nothing was counted: {said}");
        figures::measurements(run, &regions)
    }

    fn counts(&self, run: &Run) -> PathBuf {
        let (subject, backend) = (run.subject, run.backend_name());
        let position = run.position;
        self.folder.join(format!(
            "{}-{}-{backend}-{position}-{PROMPT_TOKENS}-{GENERATED_TOKENS}.json",
            subject.shape, subject.format
        ))
    }
}

fn copy(file: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let to = folder.join(file.file_name().context("a file has a name")?);
    // One that runs cannot be written to; another can take its place.
    let part = to.with_extension("part");
    let cannot = || format!("cannot copy {}", file.display());
    fs::copy(file, &part).with_context(cannot)?;
    replace(&part, &to).with_context(cannot)?;
    Ok(to)
}

/// Puts a file into the place of another, which stays when it is the same.
fn replace(new: &Path, old: &Path) -> io::Result<()> {
    match fs::read(old).is_ok_and(|held| fs::read(new).is_ok_and(|made| made == held)) {
        true => fs::remove_file(new),
        false => fs::rename(new, old),
    }
}

/// Whether a file is there and was written after another.
fn is_newer(file: &Path, than: &Path) -> bool {
    let written = |file: &Path| fs::metadata(file).and_then(|facts| facts.modified());
    matches!((written(file), written(than)), (Ok(file), Ok(than)) if file > than)
}

fn read(file: &Path) -> anyhow::Result<Vec<Region>> {
    let cannot = || format!("cannot read {}", file.display());
    let text = fs::read_to_string(file).with_context(cannot)?;
    serde_json::from_str(&text).with_context(cannot)
}
