//! From a reading of the volume to what the mailbox takes for granted.

use std::collections::BTreeSet;

use mailbox::{SettingsFile, Sighting};
use medium::{Event, View};
use volume::{FatTime, Volume};

use scan::Scan;

use super::take::resolve_intents;
use super::{Session, Step, open_volume};
use crate::daemon::report::Part;
use crate::daemon::world::World;

/// The root, whose listing says which folders there are.
const ROOT: &str = "";

impl<W: World> Session<'_, W> {
    /// One reading while a host may write.
    pub(super) async fn read(&mut self) -> anyhow::Result<Step> {
        self.read_at = self.world.modified();
        let volume = open_volume(&self.world)?;
        if volume.serial() != self.serial {
            return Ok(Step::OtherVolume);
        }
        self.note_published(&volume);
        let scan = Scan::read(&volume)?;
        let event = Event::Read {
            in_use: scan.in_use,
            found: scan.observations(),
        };
        let view = self.machine.handle(self.world.now_ms(), event);
        let view = match view {
            // The host has ejected it and can change nothing any more.
            _ if self.machine.is_ours() => scan.as_view(),
            view => view.unwrap_or_default(),
        };
        self.no_room = false;
        self.time = FatTime::after(scan.times.iter().copied());
        self.damaged.clone_from(&view.damaged);
        self.unsettled.clone_from(&view.unsettled);
        self.unfinished = !scan.as_view().unsettled.is_subset(&self.damaged);
        self.believe(&scan, &view).await?;
        Ok(Step::Again)
    }

    /// Where the ledger could not be told that an answer is on the volume, it finds it there,
    /// before the host deletes it and it counts as never written.
    fn note_published(&mut self, volume: &Volume<W::Image>) {
        if self.mailbox.intended().is_empty() {
            return;
        }
        match resolve_intents(&mut self.mailbox, volume) {
            Ok(()) => self.report.went_well(Part::Volume),
            Err(error) => self.report.put_off(Part::Volume, &error),
        }
    }

    /// Hands what has settled to the mailbox. What has not is as it was, and so is everything in a
    /// folder that cannot be read.
    pub(super) async fn believe(&mut self, scan: &Scan, view: &View) -> anyhow::Result<()> {
        self.report.unreadable(&scan.unreadable);
        if scan.unreadable.iter().any(|(folder, _)| *folder == ROOT) {
            return Ok(());
        }
        self.believe_settings(scan, view)?;
        let mut sightings = settled(scan, view);
        let unsettled = view.unsettled.iter().map(String::as_str);
        sightings.extend(self.mailbox.remembered(unsettled));
        let unreadable = scan.unreadable.iter();
        sightings.extend(unreadable.flat_map(|(folder, _)| self.mailbox.remembered_under(folder)));
        let changes = self
            .mailbox
            .reconcile(&sightings, &|path| scan.exists(path))?;
        self.report.too_many(changes.waiting + scan.waiting);
        self.stale = false;
        let dropped: BTreeSet<_> = changes.dropped.into_iter().collect();
        let is_dropped = |running: &mut super::Running| dropped.contains(&running.job.id);
        if let Some(running) = self.running.take_if(is_dropped) {
            self.report.dropped(&running.job);
            self.world.cancel().await;
        }
        self.want_medium();
        Ok(())
    }

    fn believe_settings(&mut self, scan: &Scan, view: &View) -> anyhow::Result<()> {
        let is_settings = |path: &String| path.eq_ignore_ascii_case(mailbox::SETTINGS_PATH);
        if view.unsettled.iter().any(is_settings) {
            return Ok(());
        }
        let file = match &scan.settings {
            Some(found) => found.settings_file(),
            None => SettingsFile::Absent,
        };
        self.mailbox.feed_settings(file)?;
        Ok(())
    }
}

fn settled(scan: &Scan, view: &View) -> Vec<Sighting> {
    let known = |path: &String| view.settled.contains(path) || view.damaged.contains(path);
    let all = scan.prompts.iter().map(|found| &found.sighting);
    all.filter(|sighting| known(&sighting.path))
        .cloned()
        .collect()
}
