//! The two files that a fresh volume carries: how to use the stick, and its settings.
//!
//! Invariants, tested: CRLF and ASCII; the first fits one screen of 24 lines and 79 columns; the
//! second parses to the defaults. Written once, when the volume is made.

/// `README.TXT`.
pub const README_TXT: &str = "\
This stick answers text files. It needs no network and no program.\r\n\
\r\n\
1. Write a question in a text file, for example hello.txt, and save it on this\r\n\
   drive: here, or in the folder \"prompts\".\r\n\
2. Wait. The light shows that the stick is at work. A response takes minutes.\r\n\
3. The response appears beside it: hello.response.txt\r\n\
   If you do not see it, eject the drive; it comes back with the response.\r\n\
   A second drive called ANSWERS may bring it as well.\r\n\
\r\n\
A short question can be the name of an empty file in the folder \"ask\".\r\n\
\r\n\
Changed your mind? Save the file again: it is answered as it is then. Delete it\r\n\
and it is not answered. To ask the same once more, delete the response, then\r\n\
save the question again.\r\n\
\r\n\
hello.error.txt instead of a response says what went wrong and what to do.\r\n\
Only .txt and .md files are read; Word files and pictures are not.\r\n\
\r\n\
SETTINGS.TOML sets the length of responses and more, for all files. For one\r\n\
file, put such lines at its top, between two lines that hold only +++\r\n\
\r\n\
What you write stays on this stick. A language model can be wrong: check what\r\n\
matters.\r\n";

/// `SETTINGS.TOML`, with every setting at its default.
pub const SETTINGS_TOML: &str = "\
# How this stick answers. Change a value and save the file; it counts for the\r\n\
# prompts that come after. A mistake is answered by SETTINGS.error.txt, and the\r\n\
# last good settings stay in force. Delete this file for the defaults.\r\n\
# A line that begins with # is a remark.\r\n\
\r\n\
# The model: the name of a file in the stick's models folder.\r\n\
# Without it, the stick takes the one it was set up with.\r\n\
# model = \"demo.gguf\"\r\n\
\r\n\
# What the model is told before each prompt.\r\n\
# system = \"Answer briefly and in plain words.\"\r\n\
\r\n\
# The longest response, in tokens (a token is about three quarters of a word).\r\n\
max_tokens = 256        # 1 to 4096\r\n\
\r\n\
# How freely the model chooses its words; 0 always takes the likeliest.\r\n\
temperature = 0.7       # 0 to 2\r\n\
\r\n\
# Which words it chooses from; the defaults suit most models.\r\n\
top_k = 40              # 0 to 1000, 0 is off\r\n\
top_p = 0.9             # 0 to 1, 1 is off\r\n\
min_p = 0.05            # 0 to 1, 0 is off\r\n\
repeat_penalty = 1.1    # 0.5 to 2, 1 is off\r\n\
\r\n\
# Where chance begins. Without it, each prompt has a seed of its own, made from\r\n\
# its content, so that the same prompt gives the same response.\r\n\
# seed = 1              # 0 to 4294967294\r\n\
\r\n\
# The response ends before any of these texts (at most 8).\r\n\
# stop = [\"THE END\"]\r\n\
\r\n\
# \"text\", or \"json\" for a response that is one JSON value.\r\n\
format = \"text\"\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{KEYS, Settings};

    const SCREEN_LINES: usize = 24;
    const SCREEN_COLUMNS: usize = 79;

    #[test]
    fn both_are_ascii_with_windows_line_ends_and_fit_the_screen_across() {
        for text in [README_TXT, SETTINGS_TOML] {
            assert!(text.is_ascii());
            assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
            for line in text.lines() {
                assert!(line.len() <= SCREEN_COLUMNS, "{line}");
            }
        }
        assert!(README_TXT.lines().count() <= SCREEN_LINES);
    }

    #[test]
    fn the_settings_file_says_the_defaults_and_documents_every_key() {
        assert_eq!(Settings::parse(SETTINGS_TOML), Ok(Settings::default()));
        let uncommented = SETTINGS_TOML.replace("# ", "");
        for key in KEYS {
            let line = format!("\n{key} = ");
            assert!(uncommented.contains(&line), "{key}");
        }
    }

    #[test]
    fn each_example_in_the_settings_file_is_accepted() {
        for line in SETTINGS_TOML.lines() {
            let Some(example) = line.strip_prefix("# ").filter(|line| line.contains(" = ")) else {
                continue;
            };
            assert!(Settings::parse(example).is_ok(), "{example}");
        }
    }
}
