//! From a queued prompt to a stored answer.

use anyhow::Context;
use engine::Event as EngineEvent;
use mailbox::{Job, Outcome};

use super::{Running, Session, Step, open_volume};
use crate::daemon::job;
use crate::daemon::pace::Pace;
use crate::daemon::question::{self, Question};
use crate::daemon::world::World;

impl<W: World> Session<'_, W> {
    /// Gives the engine the prompt that has waited longest, if it has nothing to do.
    pub(super) fn start_next(&mut self) -> anyhow::Result<Step> {
        if self.running.is_some() || self.stale {
            return Ok(Step::Rest);
        }
        // One that is being written is left until it has settled, and does not hold up the others.
        let is_settled = |job: &Job| !self.unsettled.contains(&job.path);
        let Some(job) = self.mailbox.queued().find(is_settled) else {
            return Ok(Step::Rest);
        };
        let volume = open_volume(&self.world)?;
        self.world.forget_reads();
        let asked = match question::read(&volume, &job, self.mailbox.settings())? {
            Question::Asks(question) => job::ask(&job, question, self.config),
            Question::Refused(refusal) => Err(refusal),
            Question::Changed => {
                self.stale = true;
                self.wrote();
                return Ok(Step::Rest);
            }
        };
        match asked {
            Ok(asked) => {
                self.report.thinking(&job);
                let max_tokens = asked.request.max_tokens;
                self.world.ask(&asked.model, asked.request)?;
                self.running = Some(Running {
                    job,
                    reply: asked.reply,
                    text: String::new(),
                    max_tokens,
                    pace: Pace::start(self.world.now_ms()),
                });
                self.answers.running(self.world.now_ms());
                Ok(Step::Rest)
            }
            Err(refusal) => {
                let bytes = refusal.bytes();
                self.answered(&job, &Outcome::Error { bytes })?;
                self.report.refused(&job);
                Ok(Step::Again)
            }
        }
    }

    /// Takes note of what the engine said.
    ///
    /// # Errors
    /// The answer cannot be stored.
    pub fn engine_said(&mut self, event: EngineEvent) -> anyhow::Result<()> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        running.pace.note(self.world.now_ms(), &event);
        match event {
            EngineEvent::Loaded(model) => self.report.loaded(&model),
            EngineEvent::Text(text) => running.text.push_str(&text),
            EngineEvent::Finished(summary) => {
                let outcome = running.reply.respond(&running.text, &summary);
                let job = self.finish(&outcome)?;
                self.report.answered(&job, &summary);
            }
            EngineEvent::Failed(failure) => {
                let outcome = running.reply.fail(&failure);
                let job = self.finish(&outcome)?;
                self.report.failed(&job, &failure);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, outcome: &Outcome) -> anyhow::Result<Job> {
        let running = self.running.take().context("no prompt was running")?;
        self.answered(&running.job, outcome)?;
        Ok(running.job)
    }

    fn answered(&mut self, job: &Job, outcome: &Outcome) -> anyhow::Result<()> {
        if let Outcome::Error { bytes } = outcome {
            self.report.trouble_with(&job.path, bytes);
        }
        self.mailbox.answered(job.id, outcome)?;
        // What did not fit may be in a folder that takes nothing; this one may be elsewhere.
        self.no_room = false;
        self.notice_ejected_answers();
        self.want_medium();
        Ok(())
    }
}
