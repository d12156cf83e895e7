//! `promptstick serve`: prompts that come, change and go while the daemon runs.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{PART_OF_ITS_ANSWER, QUESTION, demo_model, endless_model};
use crate::support::image::Image;
use crate::support::program::{self, Daemon};
use crate::support::tool;

/// A prompt that keeps the model busy until somebody stops it.
const ENDLESS: &str = "+++\nmax_tokens = 4096\n+++\nOnce upon a time";

#[test]
fn a_prompt_that_is_dropped_is_answered() {
    let image = Image::usual();
    let daemon = Daemon::serve(&image.path(), &demo_model(), &[]);
    image.put("prompt.txt", QUESTION);
    let response = daemon.wait_until("the response", || image.get("prompt.response.txt"));
    assert!(
        String::from_utf8(response)
            .unwrap()
            .contains(PART_OF_ITS_ANSWER)
    );
    image.put("again.txt", "What does the LED mean?");
    daemon.wait_until("the second response", || image.get("again.response.txt"));
    image.assert_clean();
}

#[test]
fn the_log_tells_what_happens_but_not_what_was_asked() {
    let image = Image::usual();
    image.make_dir("ask");
    let daemon = Daemon::serve(&image.path(), &demo_model(), &[]);
    image.put("ask/my secret question.txt", "");
    image.put("private.txt", "my secret text");
    daemon.wait_until("the responses", || {
        image
            .get("ask/my secret question.response.txt")
            .and(image.get("private.response.txt"))
    });
    daemon.wait_logged("published");
    let log = daemon.log();
    assert!(
        log.contains("answered") && log.contains("tokens_per_s"),
        "{log}"
    );
    assert!(!log.contains("secret") && !log.contains("private"), "{log}");
}

#[test]
fn a_prompt_that_changes_is_answered_as_it_finally_was() {
    let image = Image::usual();
    let (_folder, model) = endless_model();
    let daemon = Daemon::serve(&image.path(), &model, &[]);
    image.put("prompt.txt", ENDLESS);
    daemon.wait_logged("thinking");
    image.put("prompt.txt", "+++\nmax_tokens = 5\n+++\nshort");
    let response = daemon.wait_until("the response", || image.get("prompt.response.txt"));
    assert!(String::from_utf8_lossy(&response).contains("limit of 5 tokens"));
    assert_eq!(
        image.list(),
        ["prompt.response.txt", "prompt.txt"],
        "nothing of the first one"
    );
}

#[test]
fn deleting_a_prompt_stops_its_work_and_the_next_one_gets_its_turn() {
    let image = Image::usual();
    let (_folder, model) = endless_model();
    let daemon = Daemon::serve(&image.path(), &model, &[]);
    image.put("first.txt", ENDLESS);
    daemon.wait_logged("thinking");
    image.put("second.txt", "+++\nmax_tokens = 5\n+++\nshort");
    image.delete("first.txt");
    daemon.wait_until("the second response", || image.get("second.response.txt"));
    assert_eq!(image.list(), ["second.response.txt", "second.txt"]);
}

#[test]
fn a_missing_image_is_made_with_its_instructions() {
    let image = Image::none();
    let _daemon = Daemon::serve(&image.path(), &demo_model(), &["--image-size", "64M"]);
    assert_eq!(
        image.list(),
        ["README.TXT", "SETTINGS.TOML", "ask/", "prompts/"]
    );
    assert!(image.text("README.TXT").contains("\r\n"));
    image.assert_clean();
}

#[test]
fn two_copies_on_one_image_are_refused() {
    let image = Image::usual();
    let model = demo_model();
    let _daemon = Daemon::serve(&image.path(), &model, &[]);
    let link = image.folder().join("other-name.img");
    std::os::unix::fs::symlink(image.path(), &link).unwrap();
    let elsewhere = image.folder().join("other-state");
    let second = program::run([
        "answer".as_ref(),
        link.as_os_str(),
        "--model".as_ref(),
        model.as_os_str(),
        "--state".as_ref(),
        elsewhere.as_os_str(),
    ]);
    assert!(!second.status.success());
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert!(stderr.contains("another promptstick"), "{stderr}");
}

#[test]
fn it_ends_within_a_second_idle_or_busy() {
    for prompt in [None, Some(ENDLESS)] {
        let image = Image::usual();
        let (_folder, model) = endless_model();
        let daemon = Daemon::serve(&image.path(), &model, &[]);
        if let Some(prompt) = prompt {
            image.put("prompt.txt", prompt);
            daemon.wait_logged("thinking");
        }
        daemon.signal(Signal::SIGTERM);
        let (status, took, log) = daemon.wait();
        assert!(status.success(), "{status}\n{log}");
        assert!(took < Duration::from_secs(1), "took {took:?}\n{log}");
        let left: Vec<_> = std::fs::read_dir(image.folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".lock") || name.ends_with(".journal"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        image.assert_clean();
    }
}

#[test]
fn it_ends_within_a_second_in_the_middle_of_many_prompts() {
    let image = Image::usual();
    let folder = tempfile::tempdir().unwrap();
    for number in 0..400 {
        std::fs::write(folder.path().join(format!("blank{number}.txt")), " ").unwrap();
    }
    let files = std::fs::read_dir(folder.path()).unwrap();
    let drive = image.path();
    let mut arguments = vec!["-i".into(), drive.into_os_string()];
    arguments.extend(files.map(|file| file.unwrap().path().into_os_string()));
    arguments.push("::".into());
    tool::run("mcopy", arguments);
    let daemon = Daemon::serve(&image.path(), &demo_model(), &[]);
    daemon.wait_logged("cannot be asked");
    daemon.signal(Signal::SIGTERM);
    let (status, took, log) = daemon.wait();
    assert!(status.success(), "{status}\n{log}");
    assert!(took < Duration::from_secs(1), "took {took:?}\n{log}");
    let refused = log.matches("cannot be asked").count();
    assert!(refused < 400, "it was not in the middle of it");
}

#[test]
fn a_model_that_dies_while_it_is_idle_is_buried() {
    let image = Image::usual();
    let daemon = Daemon::serve(&image.path(), &demo_model(), &[]);
    image.put("first.txt", QUESTION);
    daemon.wait_until("the response", || image.get("first.response.txt"));
    let [worker] = daemon.children()[..] else {
        panic!("one process with the model");
    };
    kill(Pid::from_raw(worker), Signal::SIGKILL).unwrap();
    daemon.wait_until("its end", || daemon.children().is_empty().then_some(()));
    image.put("second.txt", "What does the LED mean?");
    daemon.wait_until("the response", || image.get("second.response.txt"));
}

#[test]
fn a_signal_makes_it_read_its_configuration_again() {
    let image = Image::usual();
    let (_folder, endless) = endless_model();
    let config = image.folder().join("config.toml");
    let write = |model: &std::path::Path| {
        let text = format!("image = {:?}\nmodel = {model:?}\n", image.path());
        std::fs::write(&config, text).unwrap();
    };
    write(&image.folder().join("missing.gguf"));
    let daemon = Daemon::start(program::promptstick([
        "serve".as_ref(),
        "--config".as_ref(),
        config.as_os_str(),
    ]));
    daemon.wait_notified("READY=1");
    image.put("first.txt", "+++\nmax_tokens = 2\n+++\nhello");
    daemon.wait_until("the error file", || image.get("first.error.txt"));
    write(&endless);
    daemon.signal(Signal::SIGHUP);
    daemon.wait_notified("RELOADING=1");
    daemon.wait_notified("READY=1");
    image.put("second.txt", "+++\nmax_tokens = 2\n+++\nhello");
    daemon.wait_until("the response", || image.get("second.response.txt"));
    std::fs::write(&config, "imgae = 1\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    daemon.wait_logged("imgae");
    image.put("third.txt", "+++\nmax_tokens = 2\n+++\nhello");
    daemon.wait_until("the response under the old configuration", || {
        image.get("third.response.txt")
    });
}

#[test]
fn a_model_that_dies_costs_one_answer() {
    let image = Image::usual();
    let (_folder, model) = endless_model();
    let daemon = Daemon::serve(&image.path(), &model, &[]);
    image.put("first.txt", ENDLESS);
    image.put("second.txt", "+++\nmax_tokens = 5\n+++\nshort");
    daemon.wait_logged("model loaded");
    let [worker] = daemon.children()[..] else {
        panic!("one process with the model");
    };
    kill(Pid::from_raw(worker), Signal::SIGKILL).unwrap();
    let error = daemon.wait_until("the error file", || image.get("first.error.txt"));
    assert!(String::from_utf8_lossy(&error).contains("model stopped"));
    daemon.wait_until("the response", || image.get("second.response.txt"));
    assert!(image.get("second.error.txt").is_none());
}

#[test]
fn nothing_is_left_when_the_daemon_is_killed() {
    let image = Image::usual();
    let (_folder, model) = endless_model();
    let daemon = Daemon::serve(&image.path(), &model, &[]);
    image.put("prompt.txt", ENDLESS);
    daemon.wait_logged("model loaded");
    let [worker] = daemon.children()[..] else {
        panic!("one process with the model");
    };
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    // The kernel ends the worker with its parent; who inherits it has to bury it, too.
    let gone = || {
        let state = std::fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    };
    let start = std::time::Instant::now();
    while !gone() {
        assert!(
            start.elapsed() < program::PATIENCE,
            "the model's process lives on"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_watchdog_is_fed_while_the_model_thinks() {
    let image = Image::usual();
    let (_folder, model) = endless_model();
    let mut command = program::promptstick(["serve", "--image"]);
    command.arg(image.path()).arg("--model").arg(&model);
    command.env("WATCHDOG_USEC", "400000");
    let daemon = Daemon::start(command);
    daemon.wait_notified("READY=1");
    image.put("prompt.txt", ENDLESS);
    daemon.wait_logged("thinking");
    for _ in 0..3 {
        daemon.wait_notified("WATCHDOG=1");
    }
    assert!(!daemon.log().contains("answered"), "it was still thinking");
}
