//! The whole job on an emulated core: format, a prompt copied with mtools, an answer, a journal.
//! The responses are those of the program on this machine.

use std::path::Path;
use std::process::Command;

use super::board::Board;
use crate::daemon::{PART_OF_ITS_ANSWER, QUESTION, demo_model};
use crate::support::image::Image;
use crate::support::quantised::{Format, Quantised};
use crate::support::{program, tool};
use crate::volume::support as volume;

/// Questions, with and without an answer in the demo model.
const QUESTIONS: [&str; 4] = [
    QUESTION,
    "What does the LED mean?",
    "Which files does the stick read?",
    "Tell me about the sea.",
];
const MAX_TOKENS: &str = "48";
/// Of a response that says something.
const FEWEST_TOKENS: usize = 8;
/// The backends, each with what it computes itself of the usual formats. Of `armv6` it is the
/// assembly there and its portable twin here.
const BACKENDS: [(&str, &[Format]); 2] = [
    ("cpu", &Format::USUAL),
    ("armv6", &[Format::Q8_0, Format::Q4_0, Format::Q4KM]),
];
/// `<|im_end|>` of the demo model.
const END_OF_TURN: i64 = 2;

/// Formats an image, puts a prompt on it and has it answered.
fn answered_image(board: &Board) -> Image {
    let image = Image::none();
    let path = image.path();
    let path = path.to_str().unwrap();
    tool::printed(&mut board.promptstick(["volume", "format", path, "--size", "64M"]));
    image.assert_clean();
    image.put("prompt.txt", QUESTION);
    let said = tool::printed(&mut answer(board, &image));
    assert!(said.contains("prompt.response.txt"), "{said}");
    image.assert_clean();
    image
}

fn answer(board: &Board, image: &Image) -> Command {
    let mut command = board.promptstick(["answer"]);
    command.arg(image.path()).arg("--model").arg(demo_model());
    command
}

/// What the program on this machine answers.
fn response_here() -> String {
    let image = Image::usual();
    image.put("prompt.txt", QUESTION);
    program::answer_as_the_board(&image.path(), &demo_model());
    image.text("prompt.response.txt")
}

#[test]
fn a_prompt_on_an_image_is_answered() {
    let board = Board::arm1176();
    let image = answered_image(&board);
    let response = image.text("prompt.response.txt");
    assert!(response.contains(PART_OF_ITS_ANSWER), "{response}");
    assert_eq!(response, response_here());
    assert!(tool::printed(&mut answer(&board, &image)).contains("nothing new"));
    // What the board wrote is read here.
    assert!(program::answer(&image.path(), &demo_model()).contains("nothing new"));
}

#[test]
fn a_journal_is_replayed() {
    let board = Board::arm1176();
    let image = answered_image(&board);
    let before = volume::bytes(&image.path());
    let journal = image.folder().join("stick.img.journal");
    // Not a prompt, so that only the journal is at work.
    volume::interrupt(&image.path(), &journal, "interrupted.log", b"interrupted");
    assert!(volume::bytes(&image.path()) == before && journal.exists());
    assert!(tool::printed(&mut answer(&board, &image)).contains("nothing new"));
    assert!(!journal.exists());
    assert_eq!(image.text("interrupted.log"), "interrupted");
    image.assert_clean();
}

/// Greedy, so that each token is the most probable one on both.
#[test]
fn responses_are_those_of_this_machine() {
    let board = Board::arm1176();
    for_each_model(|backend, format, model| {
        let arguments = ["ask", "--backend", backend];
        for question in QUESTIONS {
            let there = ask(board.promptstick(arguments), model, question);
            let here = ask(program::promptstick(arguments), model, question);
            assert_eq!(there, here, "{backend}, {format:?}: {question}");
            println!("{backend}, {format:?}: {} tokens, {question}", here.1);
        }
    });
}

/// Exact where texts are not: several tokens may have one text. After nonsense (`-p`) two machines
/// part sooner or later: no token is much more probable than another then, and rounding decides.
#[test]
fn generated_tokens_are_those_of_this_machine() {
    let board = Board::arm1176();
    for_each_model(|backend, format, model| {
        let arguments = ["bench", "--backend", backend];
        for question in QUESTIONS {
            let prompt = ["--prompt", question];
            let there = generated(board.promptstick(arguments), model, &prompt);
            let here = generated(program::promptstick(arguments), model, &prompt);
            let (there, here) = (response(&there), response(&here));
            println!("{backend}, {format:?}: {} tokens, {question}", here.len());
            assert_eq!(there, here, "{backend}, {format:?}: {question}");
            assert!(
                here.len() > FEWEST_TOKENS,
                "{backend}, {format:?}: {question}"
            );
        }
    });
}

/// The demo model in the formats of each backend.
fn for_each_model(compare: impl Fn(&str, Format, &Path)) {
    for (backend, formats) in BACKENDS {
        for &format in formats {
            let model = Quantised::of(&demo_model(), format);
            compare(backend, format, &model.path());
        }
    }
}

/// Without a word from anybody, the board computes with the backend that is made for it.
#[test]
fn the_board_uses_its_own_backend() {
    let board = Board::arm1176();
    let mut ask = board.promptstick(["ask", "--max-tokens", "1", QUESTION, "--model"]);
    let output = tool::expect(ask.arg(demo_model()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("(backend: armv6)"), "{said}");
}

/// The tokens up to the one that ends the answer, and that one too. What `bench` makes the model
/// say after it is nonsense.
fn response(tokens: &[i64]) -> &[i64] {
    let end = tokens.iter().position(|&token| token == END_OF_TURN);
    &tokens[..end.map_or(tokens.len(), |end| end + 1)]
}

/// The numbers of the tokens that follow a prompt, each the most probable one.
pub fn generated(mut command: Command, model: &Path, prompt: &[&str]) -> Vec<i64> {
    command.args(["--json", "-n", MAX_TOKENS]).args(prompt);
    let printed = tool::printed(command.arg("--model").arg(model));
    let figures: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let tokens = figures["generated"].as_array().unwrap();
    tokens.iter().map(|token| token.as_i64().unwrap()).collect()
}

/// The response, and the number of its tokens.
fn ask(mut command: Command, model: &Path, question: &str) -> (String, u32) {
    command.args(["--temperature", "0", "--threads", "1"]);
    command.args(["--max-tokens", MAX_TOKENS, "--model"]);
    let output = tool::expect(command.arg(model).arg(question));
    let figures = String::from_utf8(output.stderr).unwrap();
    let tokens = figures
        .split_once(" ms, ")
        .and_then(|(_, rest)| rest.split_once(" tokens in "))
        .and_then(|(tokens, _)| tokens.parse().ok());
    let tokens = tokens.unwrap_or_else(|| panic!("no figures in {figures:?}"));
    (String::from_utf8(output.stdout).unwrap(), tokens)
}

/// With Debian's libraries and therefore on an `ARMv7` core: this is about the C library, not about
/// the instructions.
#[test]
fn the_dynamic_build_answers_with_debians_libraries() {
    let image = answered_image(&Board::armhf());
    assert_eq!(image.text("prompt.response.txt"), response_here());
}
