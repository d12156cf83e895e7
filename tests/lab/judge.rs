//! What must hold for the stick after every scenario: `fsck.fat -n` has nothing to say, and each
//! file that the host had flushed is there, bit for bit.

use lab::guest::Report;
use labhost::files::sha256;
use labhost::stick::PARTITION_BYTES;

use crate::support::image::Image;

/// The image of LUN 0 among the exported files.
const STICK: &str = "stick.img";

/// Judges the stick, and gives its image for more.
pub fn stick(report: &Report) -> Image {
    let image = image(report);
    image.assert_clean();
    for (path, expected) in report.flushed() {
        let content = image.get(&path);
        let Some(content) = content else {
            panic!(
                "{path}, which the host had flushed, is gone: {:?}\n{report}",
                image.list()
            );
        };
        assert_eq!(
            sha256(&content),
            expected,
            "{path} is not as the host flushed it\n{report}"
        );
    }
    image
}

fn image(report: &Report) -> Image {
    let bytes = report.files.get(STICK).unwrap_or_else(|| {
        let names: Vec<_> = report.files.keys().collect();
        panic!("no {STICK} among the exported files {names:?}\n{report}")
    });
    let image = Image::none();
    std::fs::write(image.path(), bytes).expect("room for the image");
    if is_partitioned(bytes) {
        return image.at(PARTITION_BYTES);
    }
    image
}

/// A volume begins with a jump (FAT specification, `BS_jmpBoot`), a partition table does not.
fn is_partitioned(bytes: &[u8]) -> bool {
    !matches!(bytes.first(), Some(0xeb | 0xe9))
}
