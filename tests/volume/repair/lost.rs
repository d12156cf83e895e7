//! Lost chains, and the count of free space.

use super::*;

#[test]
fn free_space_is_counted_again() {
    let mut bench = Bench::new(KINDS[1]);
    let sector = usize::try_from(bench.geometry.fs_info_offset_bytes.unwrap()).unwrap();
    for (at, bytes) in [
        (488, [1, 2]),
        (492, [0xFF, 0x7F]),
        (0, [0, 0]),
        (484, [0, 0]),
        (510, [0, 0]),
    ] {
        bench.image[sector + at..sector + at + 2].copy_from_slice(&bytes);
        assert_eq!(bench.mend(), [Fault::FreeSpace], "{at}");
        let free = Volume::open(&bench.image).unwrap().free_bytes().unwrap() / 512;
        let said = u32::from_le_bytes(bench.image[sector + 488..sector + 492].try_into().unwrap());
        assert_eq!(u64::from(said), free);
    }
}

#[test]
fn many_lost_chains_go_to_a_folder() {
    each(|mut bench| {
        let count = 300;
        let last = bench.geometry.last_cluster();
        let end = bench.end();
        for number in 0..count {
            bench.link(last - 2 * number, end);
            let offset = bench.geometry.cluster_offset(last - 2 * number).unwrap();
            bench
                .image
                .write_at(offset, &support::content(u64::from(number), 512))
                .unwrap();
        }
        let report = mended(&mut bench.image);
        let recovered = |f: &&volume::Finding| matches!(f.fault, Fault::Recovered { .. });
        assert_eq!(
            report.findings().iter().filter(recovered).count(),
            count as usize
        );
        assert_eq!(
            Volume::open(&bench.image)
                .unwrap()
                .list("FOUND.000")
                .unwrap()
                .len(),
            count as usize - 64
        );
        assert_eq!(
            bench.read("FSCK0000.REC"),
            support::content(u64::from(count - 1), 512)
        );
        assert_eq!(
            bench.read("FOUND.000/FSCK0000.REC"),
            support::content(u64::from(count - 65), 512)
        );
        // More of them later.
        bench.link(last - 2 * count, end);
        mended(&mut bench.image);
        assert_eq!(
            Volume::open(&bench.image)
                .unwrap()
                .list("FOUND.000")
                .unwrap()
                .len(),
            count as usize - 63
        );
    });
}

#[test]
fn without_room_for_an_entry_the_chain_stays() {
    let mut bench = Bench::new(KINDS[0]);
    let volume::Root::Fixed { slots, .. } = bench.geometry.root else {
        panic!()
    };
    // Fill the root with short names.
    support::edit_bytes(&mut bench.image, |edit| {
        for number in 0..slots {
            if edit.create(&format!("R{number}"), b"", TIME).is_err() {
                break;
            }
        }
    });
    let (last, end) = (bench.geometry.last_cluster(), bench.end());
    bench.link(last, end);
    bench.image[0x25] |= 1;
    let faults = bench.mend();
    assert!(
        faults.contains(&Fault::Left {
            first_cluster: last,
            clusters: 1
        }),
        "{faults:?}"
    );
}
