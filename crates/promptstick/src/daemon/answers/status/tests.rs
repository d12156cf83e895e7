//! The exact text of the status file, and what holds for every one.

use proptest::prelude::*;

use super::*;

const LINES_MAX: usize = 24;

fn idle() -> Status {
    Status {
        version: "0.1.0".into(),
        up: Duration::from_secs(12),
        max_tokens: 256,
        model: Some(Model {
            name: "promptstick demo".into(),
            quantisation: "Q8_0".into(),
        }),
        free_bytes: Some(211_081_216),
        ..Status::default()
    }
}

fn busy() -> Status {
    Status {
        up: Duration::from_secs(725),
        running: Some(Running {
            name: "prompts/poem.txt".into(),
            stage: Stage::Writing { tokens: 96 },
            max_tokens: 256,
        }),
        queue: (1..=12).map(|n| format!("question {n}.txt")).collect(),
        queued: 12,
        tokens_per_s: Some(2.4),
        waiting: 2,
        errors: vec![Trouble {
            name: "long.txt".into(),
            what: "The prompt is too long.".into(),
        }],
        ..idle()
    }
}

fn with_stage(stage: Stage) -> Status {
    let mut status = busy();
    status.running.as_mut().unwrap().stage = stage;
    status
}

#[test]
fn nothing_to_do() {
    let expected = "\
promptstick 0.1.0, 12 s after its start\r\n\
\r\n\
Ready: no prompt is being answered.\r\n\
Queue: empty\r\n\
Model: promptstick demo, Q8_0\r\n\
Free space on PROMPTSTICK: 201.3 MiB\r\n\
All answers are on PROMPTSTICK.\r\n";
    assert_eq!(idle().text(), expected);
}

#[test]
fn much_to_do() {
    let expected = "\
promptstick 0.1.0, 12 min after its start\r\n\
\r\n\
Thinking: prompts/poem.txt\r\n  \
  96 of at most 256 tokens, 2.4 tokens/s, at most 1 min 7 s left\r\n\
Queue: 12 prompts, at most some 21 min\r\n  \
  1. question 1.txt\r\n  \
  2. question 2.txt\r\n  \
  3. question 3.txt\r\n  \
  4. question 4.txt\r\n  \
  5. question 5.txt\r\n  \
  6. question 6.txt\r\n  \
  7. question 7.txt\r\n  \
  8. question 8.txt\r\n  \
  9. question 9.txt\r\n  \
  10. question 10.txt\r\n  \
  and 2 more\r\n\
Last errors:\r\n  \
  long.txt: The prompt is too long.\r\n\
Model: promptstick demo, Q8_0\r\n\
Free space on PROMPTSTICK: 201.3 MiB\r\n\
2 answers not on PROMPTSTICK yet: read here, or eject\r\n\
(unmount) PROMPTSTICK and leave the stick plugged in.\r\n";
    assert_eq!(busy().text(), expected);
}

#[test]
fn the_stages_before_writing() {
    for (stage, line) in [
        (Stage::Loading, "  loading the model"),
        (
            Stage::Reading { tokens: 32, of: 80 },
            "  reading the prompt, 32 of 80 tokens, then at most 1 min 47 s",
        ),
        (
            Stage::Writing { tokens: 300 },
            "  300 of at most 256 tokens, 2.4 tokens/s, at most 0 s left",
        ),
    ] {
        assert_eq!(with_stage(stage).text().lines().nth(3), Some(line));
    }
}

#[test]
fn without_a_speed_no_time_is_promised() {
    for tokens_per_s in [None, Some(0.0), Some(f64::NAN), Some(f64::INFINITY)] {
        let status = Status {
            tokens_per_s,
            ..busy()
        };
        let text = status.text();
        assert!(text.contains("  96 of at most 256 tokens\r\n"), "{text}");
        assert!(text.contains("Queue: 12 prompts\r\n"), "{text}");
    }
}

#[test]
fn times_and_sizes() {
    for (seconds, said) in [
        (0, "0 s"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (599, "9 min 59 s"),
        (600, "10 min"),
        (3_599, "59 min"),
        (3_600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (90_000, "1 days 1 h"),
    ] {
        assert_eq!(time(Duration::from_secs(seconds)), said);
    }
    for (bytes, said) in [
        (0, "0.0 KiB"),
        (1_536, "1.5 KiB"),
        (1 << 20, "1.0 MiB"),
        (u64::MAX, "17592186044415.9 MiB"),
    ] {
        assert_eq!(size(bytes), said);
    }
}

#[test]
fn numbers_go_on_from_the_highest() {
    assert_eq!(status_name(1), "STATUS-0001.TXT");
    assert_eq!(status_name(12_345), "STATUS-12345.TXT");
    let names = [
        "STATUS-0009.TXT",
        "a.response.txt",
        "STATUS-0010.TXT",
        "STATUS-x.TXT",
    ];
    assert_eq!(last_number(names), 10);
    assert_eq!(last_number([]), 0);
}

proptest! {
    #[test]
    fn it_always_fits_one_screen(
        name in any::<String>(),
        what in any::<String>(),
        queued in 0..30_usize,
        errors in 0..6_usize,
        speed in any::<f64>(),
        tokens in any::<u32>(),
        seconds in any::<u64>(),
    ) {
        let mut status = busy();
        status.up = Duration::from_secs(seconds);
        status.queue = vec![name.clone(); queued];
        status.queued = queued + 3;
        status.tokens_per_s = Some(speed);
        status.max_tokens = tokens;
        status.errors = vec![Trouble { name: name.clone(), what }; errors];
        status.model = Some(Model { name: name.clone(), quantisation: "Q4_0".into() });
        let stage = Stage::Writing { tokens };
        status.running = Some(Running { name, stage, max_tokens: tokens });
        let text = status.text();
        prop_assert!(text.lines().count() <= LINES_MAX);
        prop_assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        for line in text.split("\r\n") {
            prop_assert!(line.chars().count() <= COLUMNS);
            prop_assert!(!line.contains(|c: char| c.is_control()));
        }
    }
}
