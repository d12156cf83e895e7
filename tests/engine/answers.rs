//! What a response is: sampling, stop strings, limits, characters.

use engine::{Failure, Finish, ModelOptions, Request, Sampling};
use genmodel::{CHATML, Format, Shape, Spec, Tokenizer};

use super::support::{TestModel, ask, greedy, run, worker};

fn sampled(prompt: &str, seed: u32) -> Request {
    let sampling = Sampling {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        seed,
        ..Sampling::default()
    };
    Request {
        sampling,
        max_tokens: 24,
        ..Request::new(prompt)
    }
}

#[test]
fn greedy_and_seeded_responses_repeat() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let mut one = worker();
        let mut two = worker();
        for request in [greedy("hello there", 30), sampled("hello there", 7)] {
            let first = ask(&mut one, &model.options(), request.clone()).await;
            let between = ask(&mut one, &model.options(), sampled("something else", 3)).await;
            between.summary();
            let again = ask(&mut one, &model.options(), request.clone()).await;
            let elsewhere = ask(&mut two, &model.options(), request).await;
            assert_eq!(again.text, first.text);
            assert_eq!(elsewhere.text, first.text);
            assert!(!first.text.is_empty());
        }
        let seven = ask(&mut one, &model.options(), sampled("hello there", 7)).await;
        let eight = ask(&mut one, &model.options(), sampled("hello there", 8)).await;
        assert_ne!(seven.text, eight.text);
    });
}

/// The state of one prompt must not leak into the next one of the same length.
#[test]
fn prompts_of_equal_length_get_their_own_answers() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let mut worker = worker();
        let one = ask(&mut worker, &model.options(), greedy("abcdefgh", 12)).await;
        let two = ask(&mut worker, &model.options(), greedy("hgfedcba", 12)).await;
        let fresh = ask(
            &mut super::support::worker(),
            &model.options(),
            greedy("hgfedcba", 12),
        )
        .await;
        assert_ne!(one.text, two.text);
        assert_eq!(two.text, fresh.text);
    });
}

#[test]
fn every_storage_type_and_tokenizer_answers() {
    for (name, format) in Format::NAMED {
        for tokenizer in [Tokenizer::Spm, Tokenizer::Gpt2] {
            let model = TestModel::new(&Spec {
                format,
                shape: Shape {
                    tokenizer,
                    chat_template: Some(CHATML),
                    ..Shape::tiny()
                },
                ..Spec::tiny()
            });
            run(async {
                let answer = ask(&mut worker(), &model.options(), greedy("hello", 10)).await;
                assert_eq!(answer.summary().response_tokens, 10, "{name} {tokenizer:?}");
            });
        }
    }
}

#[test]
fn a_stop_string_ends_the_response_before_it() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let mut worker = worker();
        let whole = ask(&mut worker, &model.options(), sampled("count", 5)).await;
        let characters: Vec<(usize, char)> = whole.text.char_indices().collect();
        assert!(characters.len() > 12, "{:?}", whole.text);
        // From the middle, so that it crosses a border of tokens, which are mostly one character.
        let (from, to) = (characters[5].0, characters[9].0);
        let stop = whole.text[from..to].to_owned();
        let before = whole.text.find(&stop).unwrap();
        let request = Request {
            stop: vec![stop, "never seen".into()],
            ..sampled("count", 5)
        };
        let cut = ask(&mut worker, &model.options(), request).await;
        assert_eq!(cut.text, whole.text[..before]);
        assert_eq!(cut.summary().finish, Finish::Stop);
    });
}

/// Random bytes as tokens: what comes out is text all the same.
#[test]
fn bytes_that_are_no_text_become_replacement_characters() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let mut worker = worker();
        let request = Request {
            max_tokens: 200,
            ..sampled("bytes", 1)
        };
        let answer = ask(&mut worker, &model.options(), request).await;
        assert!(answer.text.contains('\u{fffd}'), "{:?}", answer.text);
    });
}

#[test]
fn a_full_context_cuts_the_response_and_says_so() {
    let model = TestModel::new(&Spec::tiny());
    let options = ModelOptions {
        context_tokens: 64,
        ..model.options()
    };
    run(async {
        let answer = ask(&mut worker(), &options, greedy("hello", 1_000)).await;
        let summary = answer.summary();
        assert_eq!(summary.finish, Finish::ContextFull);
        // The last token is given out but needs no room itself.
        assert_eq!(summary.prompt_tokens + summary.response_tokens, 64 + 1);
    });
}

#[test]
fn a_prompt_that_is_too_long_is_refused_with_the_numbers() {
    let model = TestModel::new(&Spec::tiny());
    let options = ModelOptions {
        context_tokens: 64,
        ..model.options()
    };
    run(async {
        let mut worker = worker();
        // One token a character, one for the space before it, one at the beginning.
        let longest = ask(&mut worker, &options, greedy(&"x".repeat(46), 1)).await;
        assert_eq!(longest.summary().prompt_tokens, 48);
        let too_long = ask(&mut worker, &options, greedy(&"x".repeat(47), 1)).await;
        assert_eq!(
            too_long.failure(),
            &Failure::TooLong {
                tokens: 49,
                limit_tokens: 48
            }
        );
        let next = ask(&mut worker, &options, greedy("x", 1)).await;
        assert_eq!(next.summary().response_tokens, 1);
    });
}

#[test]
fn requests_that_make_no_sense_fail_without_a_child() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let mut worker = worker();
        let empty = ask(&mut worker, &model.options(), greedy(" \r\n ", 1)).await;
        assert_eq!(empty.failure(), &Failure::EmptyPrompt);
        let none = ask(&mut worker, &model.options(), greedy("x", 0)).await;
        assert!(matches!(none.failure(), Failure::BadRequest { .. }));
        assert_eq!(worker.process_id(), None);
    });
}

#[test]
fn the_model_can_end_its_response() {
    let model = TestModel::new(&Spec {
        can_end: true,
        ..Spec::tiny()
    });
    run(async {
        let mut worker = worker();
        for seed in 0..50 {
            let request = Request {
                max_tokens: 200,
                ..sampled("end", seed)
            };
            let answer = ask(&mut worker, &model.options(), request).await;
            if answer.summary().finish == Finish::EndOfText {
                assert!(!answer.text.contains("</s>"));
                return;
            }
        }
        panic!("no response ended in 50 x 200 draws out of 384 tokens");
    });
}

/// Tokenisers have been seen to overflow their stack on long words.
#[test]
fn a_large_prompt_is_not_a_large_problem() {
    for tokenizer in [Tokenizer::Spm, Tokenizer::Gpt2] {
        let model = TestModel::new(&Spec {
            shape: Shape {
                tokenizer,
                chat_template: Some(CHATML),
                ..Shape::tiny()
            },
            ..Spec::tiny()
        });
        run(async {
            let mut worker = worker();
            for part in ["a", " ", "1", "🦀", "a\u{0}\"é"] {
                let prompt = format!("x{}x", part.repeat(200_000 / part.len()));
                let answer = ask(&mut worker, &model.options(), greedy(&prompt, 1)).await;
                let too_long = matches!(answer.failure(), Failure::TooLong { .. });
                assert!(too_long, "{tokenizer:?} {part:?}: {answer:?}");
            }
        });
    }
}
