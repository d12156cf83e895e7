//! Repairs in rounds, the power cut in them, and what `fsck.fat` would have thrown away.

use volume::testing::{AfterCut, Fate, PagedImage, PowerLab, Random};

use super::*;

/// A volume with a fault of most kinds.
fn wreck(mkfs: Mkfs) -> Vec<u8> {
    let mut bench = Bench::new(mkfs);
    let (a, b, end) = (bench.first("A.TXT"), bench.first("B.TXT"), bench.end());
    bench.link(b + 1, a + 2);
    bench.link_in(1, a, end);
    let last = bench.geometry.last_cluster();
    bench.link(last, end);
    bench.patch("question number 21 of thirty.txt", 28, &[0; 4]);
    bench.patch("question number 24 of thirty.txt", 0, b"*");
    bench.patch("prompts/question number 28 of thirty.txt", 0, &[0xE5]);
    let dirty_at = if mkfs.fat == 32 { 0x41 } else { 0x25 };
    bench.image[dirty_at] |= 1;
    bench.image
}

#[test]
fn the_power_goes_while_repairing() {
    for mkfs in KINDS {
        let image = wreck(mkfs);
        let before = complete_files(&image);
        let paged: PagedImage = image[..].into();
        let limits = RepairLimits::default();
        let mut random = Random::new(11);
        for cut_at in 0.. {
            let lab = PowerLab::new(AfterCut::image_only(paged.clone()), Some(cut_at));
            let first = volume::repair_with(&mut lab.device(), &mut lab.journal(), limits, TIME);
            if !lab.was_cut() {
                first.unwrap();
                break;
            }
            for fate in [
                Fate::Lost,
                Fate::Kept,
                Fate::Torn(100),
                Fate::Random(random.bits()),
            ] {
                let lab = PowerLab::new(lab.after_cut(fate), None);
                volume::recover_with(&mut lab.device(), &mut lab.journal()).unwrap();
                let report =
                    volume::repair_with(&mut lab.device(), &mut lab.journal(), limits, TIME);
                let mut after = vec![0; image.len()];
                lab.device().read_at(0, &mut after).unwrap();
                check_mended(&before, &mut after, &report.unwrap(), &image);
            }
        }
    }
}

#[test]
fn a_large_repair_takes_several_rounds() {
    let mkfs = Mkfs {
        mib: 16,
        ..KINDS[0]
    };
    let mut bench = Bench {
        image: support::in_memory(mkfs),
        geometry: Bench::new(mkfs).geometry,
    };
    let content = support::content(7, 5 << 20);
    support::edit_bytes(&mut bench.image, |edit| {
        edit.create("LARGE", &content, TIME).unwrap();
        edit.create("OTHER", b"x", TIME).unwrap();
    });
    let first = bench.first("LARGE");
    bench.start_at("OTHER", first);
    bench.patch("OTHER", 28, &(5_u32 << 20).to_le_bytes());
    bench.image[0x25] |= 1;
    let mut rounds = 0;
    loop {
        let limits = RepairLimits::with_change_bytes(1 << 20);
        let planned = Volume::open(&bench.image)
            .unwrap()
            .repair(limits, TIME)
            .unwrap();
        let bytes = planned.changes.sectors().len() as u64 * 512;
        assert!(bytes <= (1 << 20) + (1 << 16), "{bytes}");
        support::apply(&mut bench.image, &planned.changes);
        rounds += 1;
        // Whole after every round, and dirty until the last.
        assert!(bench.read("LARGE") == content);
        assert!(bench.read("OTHER") == content);
        let is_dirty = Volume::open(&bench.image).unwrap().repair_needed().unwrap();
        assert_eq!(is_dirty, !planned.is_complete);
        if planned.is_complete {
            break;
        }
    }
    assert!(rounds > 4, "{rounds}");
    assert_eq!(bench.mend(), []);
}

/// What `fsck.fat -a` throws away is kept here.
#[test]
fn more_is_kept_than_fsck_keeps() {
    for mkfs in KINDS {
        let image = wreck(mkfs);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&image).unwrap();
        let _ = tool::output(tool::command("fsck.fat").arg("-a").arg(file.path()), b"");
        let theirs = support::bytes(file.path());
        let mut ours = image.clone();
        mended(&mut ours);
        let used = |image: &Vec<u8>| {
            let volume = Volume::open(image).unwrap();
            u64::from(volume.geometry().clusters) - volume.free_bytes().unwrap() / 512
        };
        // Two lost chains, the rest of a file with length 0, the shared clusters of the later file.
        assert!(
            used(&ours) > used(&theirs) + 5,
            "{} {}",
            used(&ours),
            used(&theirs)
        );
        assert!(used(&ours) >= used(&image));
    }
}
