//! Tests that every theme can be read: contrast as WCAG 2 defines it, differences between colours as seen with and without
//! colour blindness, and the sixteen colours as the terminals of the trade show them.

use super::*;

type Rgb = [u8; 3];

fn rgb(color: Color) -> Option<Rgb> {
    if let Color::Rgb(r, g, b) = color { Some([r, g, b]) } else { None }
}

fn linear(color: Rgb) -> [f64; 3] {
    color.map(|v| {
        let v = f64::from(v) / 255.0;
        if v <= 0.03928 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    })
}

fn times(m: [[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
    m.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
}

/// WCAG 2: (lighter + 0.05) / (darker + 0.05) of relative luminances.
fn contrast(a: Rgb, b: Rgb) -> f64 {
    let luminance = |c| times([[0.2126, 0.7152, 0.0722]; 3], linear(c))[0];
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// What is seen with full protanopia, deuteranopia and tritanopia, of linear RGB (Machado, Oliveira, Fernandes 2009).
const BLIND: [(&str, [[f64; 3]; 3]); 4] = [
    ("full colour", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    ("protanopia", [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    (
        "deuteranopia",
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ),
    ("tritanopia", [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
];

/// CIE L*a*b* of linear sRGB, white at D65.
fn lab(linear: [f64; 3]) -> [f64; 3] {
    const XYZ: [[f64; 3]; 3] =
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]];
    let [x, y, z] = times(XYZ, linear.map(|v| v.clamp(0.0, 1.0)));
    let f = |t: f64| if t > 0.008856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
    let (x, y, z) = (f(x / 0.95047), f(y), f(z / 1.08883));
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// The least difference (CIE 1976) of any two colours, as somebody sees them.
fn least_difference(colors: &[Rgb], seen: [[f64; 3]; 3]) -> f64 {
    let seen: Vec<[f64; 3]> = colors.iter().map(|c| lab(times(seen, linear(*c)))).collect();
    let mut least = f64::INFINITY;
    for (i, a) in seen.iter().enumerate() {
        for b in &seen[i + 1..] {
            least = least.min(a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt());
        }
    }
    least
}

#[test]
fn the_measures_are_right() {
    let [black, white] = [[0; 3], [255; 3]];
    assert!((contrast(black, white) - 21.0).abs() < 1e-9);
    // #767676 is the lightest grey that reaches 4.5 : 1 on white.
    assert!(contrast([0x76; 3], white) >= 4.5 && contrast([0x77; 3], white) < 4.5);
    let [l, a, b] = lab(linear([255, 0, 0]));
    assert!((l - 53.24).abs() < 0.1 && (a - 80.09).abs() < 0.2 && (b - 67.20).abs() < 0.2, "{l} {a} {b}");
    // Greys look grey to everyone; red and a dark yellow are one to the colour-blind.
    let one = [[180, 0, 0], [75, 66, 0]];
    assert!(BLIND.iter().all(|(_, m)| least_difference(&[[90; 3], [91; 3]], *m) < 1.0));
    assert!(least_difference(&one, BLIND[0].1) > 50.0 && least_difference(&one, BLIND[1].1) < 25.0);
}

#[test]
fn every_theme_is_legible() {
    for (name, _) in THEMES {
        let t = find(name, Depth::True).unwrap();
        assert!(t.stages.len() >= 6, "{name}");
        let Some(back) = rgb(t.background) else {
            continue;
        };
        let at_least = |wanted: f64, color: Color| {
            let got = contrast(rgb(color).unwrap(), back);
            assert!(got >= wanted, "{name}: {color:?} has contrast {got:.2}");
        };
        // 4.5 : 1 for text, 3 : 1 for what is drawn.
        let text = [t.text, t.dim, t.accent, t.good, t.warn, t.bad, t.full, t.focus];
        text.into_iter().for_each(|c| at_least(4.5, c));
        [t.smooth, t.floor, t.raw].into_iter().chain(t.stages.iter().copied()).for_each(|c| at_least(3.0, c));
        let stages: Vec<Rgb> = t.stages.iter().filter_map(|c| rgb(*c)).collect();
        let series: Vec<Rgb> = [t.raw, t.smooth, t.full].into_iter().filter_map(rgb).collect();
        for colors in [&stages, &series] {
            let seen = least_difference(colors, BLIND[0].1);
            assert!(seen >= 15.0, "{name}: {seen:.1}");
        }
    }
}

#[test]
fn the_colour_blind_theme_can_be_told_apart_by_everyone() {
    let t = find("colorblind", Depth::True).unwrap();
    let stages: Vec<Rgb> = t.stages.iter().filter_map(|c| rgb(*c)).collect();
    let [series, words] = [[t.raw, t.smooth, t.full], [t.good, t.warn, t.bad]].map(|c| c.map(|c| rgb(c).unwrap()));
    for (who, seen) in BLIND {
        for (what, colors) in [("stages", &stages[..]), ("series", &series), ("words", &words)] {
            let least = least_difference(colors, seen);
            assert!(least >= 20.0, "{what}, {who}: {least:.1}");
        }
    }
}

/// The sixteen colours, then background and text, of a terminal: black red green yellow blue magenta cyan grey, and bright.
type Palette = (&'static str, [u32; 16], u32, u32);

const XTERM: [u32; 16] = [
    0x000000, 0xcd0000, 0x00cd00, 0xcdcd00, 0x0000ee, 0xcd00cd, 0x00cdcd, 0xe5e5e5, 0x7f7f7f, 0xff0000, 0x00ff00,
    0xffff00, 0x5c5cff, 0xff00ff, 0x00ffff, 0xffffff,
];
const VGA: [u32; 16] = [
    0x000000, 0xaa0000, 0x00aa00, 0xaa5500, 0x0000aa, 0xaa00aa, 0x00aaaa, 0xaaaaaa, 0x555555, 0xff5555, 0x55ff55,
    0xffff55, 0x5555ff, 0xff55ff, 0x55ffff, 0xffffff,
];
const TANGO: [u32; 16] = [
    0x2e3436, 0xcc0000, 0x4e9a06, 0xc4a000, 0x3465a4, 0x75507b, 0x06989a, 0xd3d7cf, 0x555753, 0xef2929, 0x8ae234,
    0xfce94f, 0x729fcf, 0xad7fa8, 0x34e2e2, 0xeeeeec,
];
const GNOME: [u32; 16] = [
    0x171421, 0xc01c28, 0x26a269, 0xa2734c, 0x12488b, 0xa347ba, 0x2aa1b3, 0xd0cfcc, 0x5e5c64, 0xf66151, 0x33da7a,
    0xe9ad0c, 0x2a7bde, 0xc061cb, 0x33c7de, 0xffffff,
];
const CAMPBELL: [u32; 16] = [
    0x0c0c0c, 0xc50f1f, 0x13a10e, 0xc19c00, 0x0037da, 0x881798, 0x3a96dd, 0xcccccc, 0x767676, 0xe74856, 0x16c60c,
    0xf9f1a5, 0x3b78ff, 0xb4009e, 0x61d6d6, 0xf2f2f2,
];
const SOLARIZED: [u32; 16] = [
    0x073642, 0xdc322f, 0x859900, 0xb58900, 0x268bd2, 0xd33682, 0x2aa198, 0xeee8d5, 0x002b36, 0xcb4b16, 0x586e75,
    0x657b83, 0x839496, 0x6c71c4, 0x93a1a1, 0xfdf6e3,
];
const DARK: [Palette; 6] = [
    ("xterm", XTERM, 0x000000, 0xe5e5e5),
    ("VGA", VGA, 0x000000, 0xaaaaaa),
    ("Tango", TANGO, 0x300a24, 0xeeeeec),
    ("GNOME", GNOME, 0x1e1e1e, 0xffffff),
    ("Windows Terminal", CAMPBELL, 0x0c0c0c, 0xcccccc),
    ("Solarized", SOLARIZED, 0x002b36, 0x839496),
];
const LIGHT: [Palette; 6] = [
    ("xterm", XTERM, 0xffffff, 0x000000),
    ("VGA", VGA, 0xffffff, 0x000000),
    ("Tango", TANGO, 0xffffff, 0x2e3436),
    ("GNOME", GNOME, 0xffffff, 0x171421),
    ("Windows Terminal", CAMPBELL, 0xffffff, 0x0c0c0c),
    ("Solarized", SOLARIZED, 0xfdf6e3, 0x657b83),
];

/// A colour of the sixteen as a palette shows it.
fn shown(color: Color, (_, colors, background, text): &Palette) -> Rgb {
    use Color::*;
    const ORDER: [Color; 16] = [
        Black,
        Red,
        Green,
        Yellow,
        Blue,
        Magenta,
        Cyan,
        Gray,
        DarkGray,
        LightRed,
        LightGreen,
        LightYellow,
        LightBlue,
        LightMagenta,
        LightCyan,
        White,
    ];
    let hex = match ORDER.iter().position(|c| *c == color) {
        Some(index) => colors[index],
        None if color == Reset => *text,
        None => *background,
    };
    [hex >> 16, hex >> 8, hex].map(|v| v as u8)
}

#[test]
fn the_sixteen_colours_can_be_read_on_every_terminals_own() {
    for (name, palettes) in [("default", DARK), ("default-light", LIGHT)] {
        let t = find(name, Depth::Sixteen).unwrap();
        for palette in &palettes {
            let back = [palette.2 >> 16, palette.2 >> 8, palette.2].map(|v| v as u8);
            let of = |color| contrast(shown(color, palette), back);
            // Axes and labels are as legible as the terminal's own text is, or better than 4 : 1.
            assert!(of(t.dim) >= 4.0f64.min(of(t.text)), "{name}, {}: dim {:.1}", palette.0, of(t.dim));
            // Sixteen colours that others chose: no red or blue is above 4.5 everywhere, so nothing stands on less than
            // 3 : 1, which is enough for bold words and for what is drawn.
            let text = [t.accent, t.good, t.warn, t.bad, t.full, t.focus];
            let drawn = [t.smooth, t.floor, t.raw, t.border];
            for color in text.into_iter().chain(drawn).chain(t.stages.iter().copied()) {
                assert!(of(color) >= 3.0, "{name}, {}: {color:?} {:.1}", palette.0, of(color));
            }
        }
        // And most are far above that on most terminals.
        let all = palettes.iter().flat_map(|p| {
            let back = [p.2 >> 16, p.2 >> 8, p.2].map(|v| v as u8);
            [t.text, t.dim, t.accent, t.good, t.warn, t.bad, t.full, t.focus].map(|c| contrast(shown(c, p), back))
        });
        let (good, count) = all.fold((0, 0), |(good, n), c| (good + usize::from(c >= 4.5), n + 1));
        assert!(10 * good >= 7 * count, "{name}: {good} of {count}");
    }
}
