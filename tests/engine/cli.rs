//! `ask`, `bench` and `model inspect` as a person runs them.

use std::io::Read;
use std::process::Stdio;

use engine::ModelOptions;
use engine::session::Model;
use genmodel::{Format, Shape, Spec, Tokenizer};
use llama_cpp_2::token::LlamaToken;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::support::TestModel;
use crate::daemon::{QUESTION, demo_model};
use crate::support::program::{promptstick, run, succeed};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn ask_streams_text_to_stdout_and_figures_to_stderr() {
    let model = TestModel::new(&Spec::tiny());
    let path = model.path();
    let path = path.to_str().unwrap();
    let args = [
        "ask",
        "--model",
        path,
        "--temperature",
        "0",
        "--max-tokens",
        "9",
        "--threads",
        "1",
        "hello",
    ];
    let child = run(args);
    let in_process = succeed([&args[..], &["--in-process"]].concat());
    assert_eq!(text(&child.stdout), in_process);
    let said = text(&child.stderr);
    assert!(
        said.contains("9 tokens in") && said.contains("cut at max_tokens"),
        "{said}"
    );
    assert!(said.contains("no chat template"), "{said}");
}

#[test]
fn ask_and_bench_say_which_backend_computes() {
    let model = TestModel::new(&Spec::new(Shape::tiny(), Format::Q8_0));
    let path = model.path();
    let path = path.to_str().unwrap();
    for backend in ["cpu", "armv6"] {
        let how = ["--backend", backend, "--model", path];
        let ask = ["ask", "--max-tokens", "2", "hello"];
        for more in [&[][..], &["--in-process"]] {
            let said = text(&run([&ask[..], &how, more].concat()).stderr);
            assert!(said.contains(&format!("(backend: {backend})")), "{said}");
        }
        let bench = ["bench", "-p", "1", "-n", "1", "--json"];
        let figures = succeed([&bench[..], &how].concat());
        let figures: serde_json::Value = serde_json::from_str(&figures).unwrap();
        assert_eq!(figures["backend"], backend);
    }
    let wrong = run(["ask", "hello", "--backend", "gpu", "--model", path]);
    let said = text(&wrong.stderr);
    assert!(said.contains("cpu and armv6 are known"), "{said}");
}

#[test]
fn ctrl_c_stops_the_answer() {
    let model = TestModel::new(&Spec::endless());
    let mut child = promptstick(["ask", "--max-tokens", "2000", "hello", "--model"])
        .arg(model.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(text(&output.stderr).ends_with("stopped\n"));
}

#[test]
fn ask_says_what_is_wrong() {
    let model = TestModel::from_bytes(b"GGUF");
    let output = run(["ask", "--model", model.path().to_str().unwrap(), "hello"]);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(
        said.starts_with("promptstick: the model file cannot be used"),
        "{said}"
    );
}

#[test]
fn ask_says_that_it_does_not_know_a_template() {
    let model = TestModel::new(&Spec {
        shape: Shape {
            chat_template: Some("{{ no template that anybody knows }}"),
            ..Shape::tiny()
        },
        ..Spec::tiny()
    });
    let path = model.path();
    let output = run([
        "ask",
        "--max-tokens",
        "1",
        "hi",
        "--model",
        path.to_str().unwrap(),
    ]);
    assert!(output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("unknown chat template"), "{said}");
}

/// `promptstick ... | true`: nobody reads any more, and that is all there is to say.
#[test]
fn a_reader_that_goes_away_is_a_quiet_end() {
    let model = TestModel::new(&Spec::endless());
    let path = model.path();
    let path = path.to_str().unwrap();
    let ask = ["ask", "--max-tokens", "2000", "hello", "--model", path];
    for arguments in [
        &["model", "inspect", path][..],
        &["bench", "-p", "1", "-n", "1", "--model", path],
        &ask,
        &[&ask[..], &["--in-process"]].concat(),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = promptstick(arguments)
            .stdin(Stdio::null())
            .stdout(writer)
            .output()
            .unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        assert!(
            !said.contains("panicked") && !said.contains("pipe"),
            "{arguments:?}: {said}"
        );
        // Had it gone on to the end, it would have said how long that took.
        assert!(!said.contains("prompt tokens in"), "{arguments:?}: {said}");
    }
}

#[test]
fn bench_counts_and_goes_past_the_end_of_text() {
    let model = TestModel::new(&Spec {
        can_end: true,
        ..Spec::tiny()
    });
    let path = model.path();
    let output = succeed([
        "bench",
        "--model",
        path.to_str().unwrap(),
        "-p",
        "40",
        "-n",
        "60",
        "--threads",
        "1",
        "--json",
    ]);
    let figures: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(figures["prompt_tokens"], 40);
    assert_eq!(figures["response_tokens"], 60);
    for name in ["load_ms", "prefill_ms", "decode_ms", "decode_tokens_per_s"] {
        assert!(figures[name].as_f64().unwrap() > 0.0, "{name}");
    }
    let generated = figures["generated"].as_array().unwrap();
    assert_eq!(generated.len(), 60);
    let tokens = 0..i64::from(Shape::tiny().vocabulary);
    assert!(
        generated
            .iter()
            .all(|token| tokens.contains(&token.as_i64().unwrap()))
    );
}

/// The tokens of `bench` are those that `ask` answers with, where it chooses as `bench` does.
#[test]
fn bench_generates_what_ask_answers() {
    const TOKENS: usize = 24;
    let path = demo_model();
    let model = ["--model", path.to_str().unwrap()];
    let bench = ["bench", "--json", "-n", "24", "--prompt", QUESTION];
    let figures = succeed([&bench[..], &model].concat());
    let figures: serde_json::Value = serde_json::from_str(&figures).unwrap();
    assert_eq!(figures["generated"].as_array().unwrap().len(), TOKENS);

    let ask = [
        "ask",
        "--temperature",
        "0",
        "--repeat-penalty",
        "1",
        "--max-tokens",
        "24",
    ];
    let output = run([&ask[..], &model, &[QUESTION]].concat());
    let said = text(&output.stderr);
    assert!(said.contains(" 24 tokens in "), "{said}");
    let asked = format!("{} prompt tokens in", figures["prompt_tokens"]);
    assert!(said.contains(&asked), "{said}");
    let model = Model::load(&ModelOptions::new(demo_model())).unwrap();
    let tokens = figures["generated"].as_array().unwrap().iter();
    let bytes: Vec<u8> = tokens
        .map(|token| i32::try_from(token.as_i64().unwrap()).unwrap())
        .flat_map(|token| model.token_bytes(LlamaToken(token)))
        .collect();
    assert_eq!(text(&bytes).trim(), text(&output.stdout).trim());
}

#[test]
fn bench_refuses_two_prompts_and_none() {
    // A tokenizer that puts nothing before the text.
    let model = TestModel::new(&Spec {
        shape: Shape {
            tokenizer: Tokenizer::Gpt2,
            ..Shape::tiny()
        },
        ..Spec::tiny()
    });
    let path = model.path();
    let with = |more: &[&str]| {
        let bench = ["bench", "--model", path.to_str().unwrap()];
        let output = run([&bench[..], more].concat());
        assert!(!output.status.success(), "{more:?}");
        text(&output.stderr)
    };
    assert!(with(&["-p", "3", "--prompt", "hello"]).contains("cannot be used with"));
    let empty = with(&["--prompt", " "]);
    assert!(empty.contains("empty"), "{empty}");
}

#[test]
fn inspect_prints_what_the_file_holds() {
    let model = TestModel::new(&Spec::new(Shape::stories15m(), Format::Q8_0));
    let path = model.path();
    let path = path.to_str().unwrap();
    let report: serde_json::Value =
        serde_json::from_str(&succeed(["model", "inspect", path, "--json"])).unwrap();
    assert_eq!(report["architecture"], "llama");
    assert_eq!(report["quantisation"], "Q8_0");
    assert_eq!(report["parameters"], 24_407_712);
    assert_eq!(report["context_tokens"], 256);
    assert_eq!(report["fits_pi_zero_w"], true);
    // 6 layers x 6 heads x (48 + 48) x 2 bytes x 256 tokens.
    assert_eq!(report["need"]["kv_bytes"], 1_769_472);

    let text = succeed(["model", "inspect", path, "--context", "128"]);
    assert!(
        text.contains("context        128 tokens (trained on 256)"),
        "{text}"
    );
    assert!(text.contains("it fits"), "{text}");
    // What a Pi Zero W would use, unless another backend is asked for.
    assert!(
        text.contains("packed           15.6 MiB (backend armv6)"),
        "{text}"
    );
    let text = succeed(["model", "inspect", path, "--backend", "cpu"]);
    assert!(
        text.contains("packed            0.0 MiB (backend cpu)"),
        "{text}"
    );
}
