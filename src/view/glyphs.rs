//! Glyphs: what pictures are made of, by what the terminal's font has.

/// A set of glyphs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Glyphs {
    /// Eight dots to a cell.
    #[default]
    Braille,
    /// Four quarters to a cell, for fonts whose braille is thin or missing.
    Block,
    /// ASCII and lines, as the Linux console has.
    Ascii,
}

/// Name and what it is, of every set.
pub static GLYPHS: &[(&str, Glyphs, &str)] = &[
    ("braille", Glyphs::Braille, "eight dots to a cell"),
    ("block", Glyphs::Block, "four quarters to a cell"),
    ("ascii", Glyphs::Ascii, "ASCII and lines"),
];

impl Glyphs {
    /// The set of that name.
    ///
    /// # Errors
    /// A sentence that lists the known ones.
    pub fn find(name: &str) -> Result<Self, String> {
        let known = || GLYPHS.iter().map(|(n, ..)| *n).collect::<Vec<_>>().join(", ");
        let found = GLYPHS.iter().find(|(n, ..)| *n == name);
        found.map(|(_, glyphs, _)| *glyphs).ok_or_else(|| format!("unknown glyphs `{name}`; known: {}", known()))
    }

    /// The picture of a cell whose eight dots are given as braille has them.
    pub(super) fn of_dots(self, dots: u8) -> char {
        match self {
            Self::Braille => char::from_u32(0x2800 + u32::from(dots)).unwrap_or('*'),
            Self::Block => {
                // Two dots of a quarter's side by side above each other: either sets it.
                const QUARTERS: [u8; 4] = [0x03, 0x18, 0x44, 0xa0];
                const BLOCKS: [char; 16] =
                    [' ', '▘', '▝', '▀', '▖', '▌', '▞', '▛', '▗', '▚', '▐', '▜', '▄', '▙', '▟', '█'];
                let set = |(i, quarter): (usize, &u8)| usize::from(dots & quarter != 0) << i;
                BLOCKS[QUARTERS.iter().enumerate().map(set).sum::<usize>()]
            }
            Self::Ascii => match dots.count_ones() {
                0 => ' ',
                1..=2 => '.',
                3..=5 => '*',
                _ => '#',
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_set_by_either_of_its_dots() {
        // Braille's dots by row and column: 1 4 / 2 5 / 3 6 / 7 8.
        for (dots, braille, block) in
            [(0x01, '⠁', '▘'), (0x02, '⠂', '▘'), (0x10, '⠐', '▝'), (0x40, '⡀', '▖'), (0xa0, '⢠', '▗'), (0xff, '⣿', '█')]
        {
            assert_eq!((Glyphs::Braille.of_dots(dots), Glyphs::Block.of_dots(dots)), (braille, block));
        }
        assert!((0..=255).all(|dots| Glyphs::Ascii.of_dots(dots).is_ascii()));
    }

    #[test]
    fn names_are_found_and_others_answered_with_a_list() {
        assert_eq!(Glyphs::find("block"), Ok(Glyphs::Block));
        assert_eq!(Glyphs::find("dots").unwrap_err(), "unknown glyphs `dots`; known: braille, block, ascii");
    }
}
