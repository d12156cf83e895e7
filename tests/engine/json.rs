//! `json` responses under random sampling: what comes out parses, or is reported as cut.

use engine::grammar::MAX_DEPTH;
use engine::{Failure, Finish, Request, Sampling};
use genmodel::{Shape, Spec, Tokenizer};

use super::support::{TestModel, ask, run, worker};

fn request(seed: u32, temperature: f32) -> Request {
    let sampling = Sampling {
        temperature,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        repeat_penalty: 1.0,
        seed,
    };
    Request {
        sampling,
        json: true,
        max_tokens: 240,
        ..Request::new("value")
    }
}

#[test]
fn a_complete_response_is_one_json_value() {
    let (mut complete, mut cut, mut nested) = (0, 0, 0);
    for tokenizer in [Tokenizer::Spm, Tokenizer::Gpt2] {
        let model = TestModel::new(&Spec {
            shape: Shape {
                tokenizer,
                ..Shape::tiny()
            },
            can_end: true,
            ..Spec::tiny()
        });
        run(async {
            let mut worker = worker();
            for seed in 0..150 {
                let request = request(seed, 1.5);
                let answer = ask(&mut worker, &model.options(), request).await;
                let value = serde_json::from_str::<serde_json::Value>(&answer.text);
                match answer.summary().finish {
                    Finish::EndOfText => {
                        assert!(value.is_ok(), "seed {seed}: {value:?} of {:?}", answer.text);
                        complete += 1;
                        nested +=
                            u32::from(value.unwrap().as_array().is_some_and(|a| !a.is_empty()));
                    }
                    Finish::MaxTokens | Finish::ContextFull => cut += 1,
                    other => panic!("seed {seed}: {other:?}"),
                }
            }
        });
    }
    println!("{complete} complete, {cut} cut, {nested} arrays with elements");
    assert!(
        complete >= 100 && nested >= 3,
        "{complete} complete, {nested} nested"
    );
}

/// An object can be begun but neither filled nor closed: that is no end of a text.
#[test]
fn a_vocabulary_that_cannot_go_on_is_a_failure() {
    let model = TestModel::new(&Spec {
        can_end: true,
        without: "\"}",
        ..Spec::tiny()
    });
    let (mut complete, mut failed) = (0, 0);
    run(async {
        let mut worker = worker();
        for seed in 0..150 {
            let answer = ask(&mut worker, &model.options(), request(seed, 1.5)).await;
            match &answer.end {
                Some(Err(Failure::Compute { why })) => {
                    assert!(why.contains("JSON"), "seed {seed}: {why}");
                    assert!(answer.text.contains('{'), "seed {seed}: {:?}", answer.text);
                    failed += 1;
                }
                Some(Ok(summary)) if summary.finish == Finish::EndOfText => {
                    let value = serde_json::from_str::<serde_json::Value>(&answer.text);
                    assert!(value.is_ok(), "seed {seed}: {value:?} of {:?}", answer.text);
                    complete += 1;
                }
                Some(Ok(_)) => {}
                other => panic!("seed {seed}: {other:?}"),
            }
        }
    });
    assert!(
        complete >= 1 && failed >= 1,
        "{complete} complete, {failed} failed"
    );
}

/// One character at a time and only opening brackets would go on for ever; the grammar ends it.
#[test]
fn nesting_is_bounded() {
    let grammar = engine::grammar::json();
    assert!(grammar.contains(&format!("value{MAX_DEPTH} ::= leaf\n")));
    let deepest = format!("{}1{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert!(serde_json::from_str::<serde_json::Value>(&deepest).is_ok());
}

#[test]
fn a_cut_is_reported() {
    let model = TestModel::new(&Spec {
        can_end: true,
        ..Spec::tiny()
    });
    run(async {
        let mut worker = worker();
        let mut cut = 0;
        for seed in 0..40 {
            let request = Request {
                max_tokens: 3,
                ..request(seed, 1.0)
            };
            let answer = ask(&mut worker, &model.options(), request).await;
            if answer.summary().finish == Finish::MaxTokens {
                assert_eq!(answer.summary().response_tokens, 3);
                cut += 1;
            } else {
                serde_json::from_str::<serde_json::Value>(&answer.text).unwrap();
            }
        }
        assert!(cut > 0);
    });
}
