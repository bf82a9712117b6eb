//! Properties of every method of the table, and each one's closed forms.

use super::*;

const LAYERS: usize = 12;
const SHAPE: LayerShape = LayerShape { width: 64, heads: 4, columns: 256 };

fn rows(layers: usize, fixed: &[usize], lengths: &[(f64, f64)]) -> Vec<Row> {
    let fixed = LayerPath::from_layers(layers, fixed.iter().copied());
    lengths.iter().map(|&(length, share)| Row { length, share, steps: None, fixed }).collect()
}

fn equal(layers: usize, lengths: &[usize]) -> Vec<Row> {
    let lengths: Vec<_> = lengths.iter().map(|&n| (n as f64, 1.0)).collect();
    rows(layers, &[0, layers - 1], &lengths)
}

fn settings(name: &str) -> MethodConfig {
    MethodConfig { name: name.to_owned(), ..MethodConfig::default() }
}

fn table(settings: &MethodConfig, layers: usize, steps: u64, rows: &[Row]) -> Schedule {
    let method = find(&settings.name).unwrap();
    schedule(method, &Given { settings, layers, shape: SHAPE, steps, rows }).unwrap()
}

/// Each method under every setting that changes what it draws.
fn cases() -> Vec<(&'static dyn Method, MethodConfig, Schedule)> {
    let mut all = Vec::new();
    for method in METHODS {
        let keys = method.keys();
        let takes_stages = ["sampling", "growth"].iter().any(|key| keys.contains(key));
        let lengths: &[usize] = if keys.contains(&"growth") { &[6, 9, 12] } else { &[6, 8, 10, 12] };
        let given = if takes_stages { equal(LAYERS, lengths) } else { Vec::new() };
        let samplings: &[Sampling] =
            if keys.contains(&"sampling") { &[Sampling::Exact, Sampling::Bernoulli] } else { &[Sampling::Exact] };
        for &sampling in samplings {
            let base = MethodConfig { sampling, ..settings(method.name()) };
            let mut variants = vec![base.clone()];
            if keys.contains(&"path_length") {
                variants.push(MethodConfig { path_length: 7.3, ..base.clone() });
            }
            if keys.contains(&"initial_full") {
                variants.push(MethodConfig { initial_full: 0.1, ..base.clone() });
            }
            if keys.contains(&"theta") {
                variants.push(MethodConfig { theta: 0.2, gamma: 3.0, ..base });
            }
            all.extend(variants.into_iter().map(|s| (*method, s.clone(), table(&s, LAYERS, 400, &given))));
        }
    }
    all
}

#[test]
fn every_method_draws_what_it_expects() {
    // Visits of each layer over many seeds, against the binomial band of its expected share, at several steps.
    let seeds = 3000;
    for (method, settings, schedule) in cases() {
        for step in [0, 7, 120, 250, 399] {
            let at = Context { settings: &settings, shape: SHAPE, schedule: &schedule, step };
            let (mut visits, mut length) = ([0u32; LAYERS], 0);
            for seed in 0..seeds {
                let path = training_subnetwork(method, &at, seed).path();
                path.active().for_each(|layer| visits[layer] += 1);
                length += path.path_length();
            }
            let expected: Vec<f64> = (0..LAYERS).map(|layer| method.expected(&at, layer)).collect();
            for (layer, (&n, &p)) in visits.iter().zip(&expected).enumerate() {
                let sigma = (seeds as f64 * p * (1.0 - p)).max(0.0).sqrt();
                let off = (f64::from(n) - seeds as f64 * p).abs();
                let name = method.name();
                assert!(off <= 4.5 * sigma + 1e-9, "{name} step {step} layer {layer}: {n} of {seeds}, p {p}");
            }
            let (mean, sum) = (length as f64 / seeds as f64, expected.iter().sum::<f64>());
            assert!((mean - sum).abs() < 0.15, "{} step {step}: {mean} layers, {sum} expected", method.name());
        }
    }
}

#[test]
fn exact_sampling_keeps_its_length_in_every_step() {
    for (method, settings, schedule) in cases() {
        let is_exact = method.keys().contains(&"sampling") && settings.sampling == Sampling::Exact;
        for step in (0..400).filter(|_| is_exact) {
            let at = Context { settings: &settings, shape: SHAPE, schedule: &schedule, step };
            let path = training_subnetwork(method, &at, 9).path();
            let (length, mean) = (path.path_length(), at.stage().mean_length());
            assert!(length as f64 == mean || length == mean.floor() as usize || length == mean.ceil() as usize);
            assert!(at.stage().fixed.active().all(|layer| path.is_active(layer)));
        }
    }
}

#[test]
fn a_tables_means_are_the_mean_of_what_is_expected() {
    for (method, settings, schedule) in cases() {
        for (index, stage) in schedule.stages.iter().enumerate() {
            let steps = schedule.start(index)..schedule.start(index + 1);
            let sum: f64 = steps
                .map(|step| {
                    let at = Context { settings: &settings, shape: SHAPE, schedule: &schedule, step };
                    (0..LAYERS).map(|layer| method.expected(&at, layer)).sum::<f64>()
                })
                .sum();
            let mean = sum / stage.steps as f64;
            let told = stage.mean_length();
            assert!((mean - told).abs() < 1e-9, "{} stage {index}: {mean} != {told}", method.name());
        }
    }
}

#[test]
fn networks_depend_on_seed_and_step_alone() {
    for (method, settings, schedule) in cases() {
        let draw = |seed, step| {
            training_subnetwork(method, &Context { settings: &settings, shape: SHAPE, schedule: &schedule, step }, seed)
        };
        let forward: Vec<_> = (0..80).map(|k| draw(1, k)).collect();
        let backward: Vec<_> = (0..80).rev().map(|k| draw(1, k)).collect();
        assert!(forward.iter().eq(backward.iter().rev()));
        let at = Context { settings: &settings, shape: SHAPE, schedule: &schedule, step: 300 };
        assert_eq!(
            evaluation_subnetwork(method, &at, at.stage().fixed, 12, 7, 1, 2),
            evaluation_subnetwork(method, &at, at.stage().fixed, 12, 7, 1, 2)
        );
    }
}

#[test]
fn the_speed_ups_are_the_papers() {
    // Worked out by hand: layers, method, stages, L / mean layers. To three digits.
    let of = |settings: &MethodConfig, layers, rows: &[Row]| table(settings, layers, 400_000, rows).speed_up();
    let rising = |layers: usize, lengths: &[usize]| {
        let lengths: Vec<_> = lengths.iter().enumerate().map(|(i, &n)| (n as f64, (i + 1) as f64)).collect();
        rows(layers, &[0, layers - 1], &lengths)
    };
    let raptr = settings("raptr");
    let near = |got: f64, right: f64| assert!((got - right).abs() < 6e-4, "{got} != {right}");
    near(of(&raptr, 12, &equal(12, &[6, 8, 10, 12])), 1.333);
    near(of(&raptr, 12, &rising(12, &[6, 8, 10, 12])), 1.200);
    near(of(&raptr, 24, &equal(24, &[12, 16, 20, 24])), 1.333);
    near(of(&raptr, 24, &rising(24, &[12, 16, 20, 24])), 1.200);
    near(of(&raptr, 24, &equal(24, &[16, 20, 24])), 1.200);
    near(of(&raptr, 24, &equal(24, &[16, 18, 20, 22, 24])), 1.200);
    // 30k steps of the full model first, of 400k; once as a number, once as a share.
    for initial_full in [30_000.0, 0.075] {
        let first = MethodConfig { initial_full, ..raptr.clone() };
        near(of(&first, 24, &equal(24, &[12, 16, 20, 24])), 1.301);
        near(of(&first, 24, &rising(24, &[12, 16, 20, 24])), 1.182);
    }
    near(of(&settings("stacking"), 12, &equal(12, &[6, 9, 12])), 1.333);
    near(of(&settings("stacking"), 12, &[]), 1.333);
    near(of(&settings("pld"), 12, &[]), 1.366);
    for (alpha, speed_up) in [(0.0, 1.714), (1.0, 1.385), (2.0, 1.238), (3.0, 1.163)] {
        near(of(&MethodConfig { block: 4, alpha, ..settings("midas") }, 24, &[]), speed_up);
    }
    near(of(&settings("layerdrop"), 12, &[]), 1.25);
    // The mean of 1 - (l / 12) / 2 over l is 1 - 13 / 48.
    near(of(&settings("stochastic-depth"), 12, &[]), 48.0 / 35.0);
    near(of(&settings("full"), 12, &[]), 1.0);
    // The controls cost what they are compared with.
    for name in ["constant", "decreasing"] {
        near(of(&settings(name), 12, &equal(12, &[6, 8, 10, 12])), 1.333);
        near(of(&settings(name), 24, &rising(24, &[12, 16, 20, 24])), 1.200);
    }
}

#[test]
fn constant_takes_the_stages_mean_and_decreasing_their_reverse() {
    let lopsided = rows(12, &[0, 11], &[(6.0, 3.0), (12.0, 1.0)]);
    let one = table(&settings("constant"), 12, 400, &lopsided);
    assert_eq!((one.stages.len(), one.stages[0].mean, one.stages[0].path_length), (1, Some(7.5), 8));
    let back = table(&settings("decreasing"), 12, 400, &lopsided);
    let stages: Vec<_> = back.stages.iter().map(|s| (s.steps, s.path_length)).collect();
    assert_eq!(stages, [(100, 12), (300, 6)]);
    let falling = table(&settings("decreasing"), 12, 400, &equal(12, &[12, 8]));
    let complaints = find("decreasing").unwrap().check(&settings("decreasing"), &falling);
    assert!(matches!(&complaints[..], [(1, what)] if what.contains("8 comes after 12")), "{complaints:?}");
}

#[test]
fn growth_copies_the_layers_that_the_papers_copy() {
    let grown = |settings: &MethodConfig, from, to| {
        let growth = find(&settings.name).unwrap().growth(settings, from, to);
        assert_eq!((growth.sources.len(), growth.copies.layers(), growth.copies.path_length()), (to, to, to - from));
        let one_based: Vec<_> = growth.sources.iter().map(|s| s + 1).collect();
        (one_based, growth.copies.to_string())
    };
    // Gradual: 6, then copy 4-6, then copy 7-9.
    let gradual = settings("stacking");
    assert_eq!(grown(&gradual, 6, 9), (vec![1, 2, 3, 4, 5, 6, 4, 5, 6], "000000111".into()));
    assert_eq!(grown(&gradual, 9, 12).0, [1, 2, 3, 4, 5, 6, 7, 8, 9, 7, 8, 9]);
    // Progressive: layer l + L_old is a copy of layer l.
    let progressive = MethodConfig { growth: Stacking::Progressive, ..gradual };
    assert_eq!(grown(&progressive, 3, 6), (vec![1, 2, 3, 1, 2, 3], "000111".into()));
    // MIDAS, blocks of two: block ceil(n / 2) doubled. 1; 1 1; 1 1' 2; 1 2 2' 3; 1 2 2' 3 4 in blocks.
    let midas = settings("midas");
    assert_eq!(grown(&midas, 2, 4), (vec![1, 2, 1, 2], "0011".into()));
    assert_eq!(grown(&midas, 4, 6), (vec![1, 2, 1, 2, 3, 4], "001100".into()));
    assert_eq!(grown(&midas, 6, 8), (vec![1, 2, 3, 4, 3, 4, 5, 6], "00001100".into()));
    assert_eq!(grown(&midas, 8, 10), (vec![1, 2, 3, 4, 3, 4, 5, 6, 7, 8], "0000110000".into()));
    // Two blocks at once are one after the other.
    assert_eq!(grown(&midas, 4, 8), (vec![1, 2, 1, 2, 1, 2, 3, 4], "00111100".into()));
}

#[test]
fn only_the_layers_that_exist_are_trained_or_evaluated() {
    for name in ["stacking", "midas"] {
        let settings = settings(name);
        let (method, schedule) = (find(name).unwrap(), table(&settings, 12, 1200, &[]));
        for (stage, row) in schedule.stages.iter().enumerate() {
            let at = Context { settings: &settings, shape: SHAPE, schedule: &schedule, step: schedule.start(stage) };
            let existing = method.existing(&at);
            assert_eq!(existing, row.path_length);
            assert_eq!(training_subnetwork(method, &at, 3).path(), LayerPath::from_layers(12, 0..existing));
            for length in 1..=existing {
                let path = evaluation_subnetwork(method, &at, at.stage().fixed, existing, length, 3, 0).path();
                assert!(path.path_length() == length && path.active().all(|layer| layer < existing));
            }
        }
    }
}

#[test]
fn scaling_gives_the_factors_of_its_formula() {
    let path: LayerPath = "100110000001".parse().unwrap();
    let fixed = LayerPath::from_layers(12, [0, 11]);
    let factors = |scaling| {
        let subnetwork = draw::scaled(path, scaling, 4.0, fixed);
        [0, 1, 2, 3].map(|slot| subnetwork.factor(slot))
    };
    assert_eq!(factors(Scaling::None), [1.0; 4]);
    assert_eq!(factors(Scaling::Sqrt), [3f32.sqrt(), 1.0, 7f32.sqrt(), 1.0]);
    assert_eq!(factors(Scaling::InverseP), [1.0, 5.0, 5.0, 1.0]);
    // The full model is never scaled, whatever the scaling.
    for scaling in [Scaling::None, Scaling::Sqrt, Scaling::InverseP] {
        let full = draw::scaled(LayerPath::full(12), scaling, 12.0, fixed);
        assert_eq!(full, LayerPath::full(12).into());
    }
}

#[test]
fn inverse_factors_are_right_on_average() {
    // The mean of a layer's factor, 0 where it is skipped, is 1: for pld and for scaling = inverse-p.
    let inverse = MethodConfig { scaling: Scaling::InverseP, ..settings("raptr") };
    for (settings, given) in [(settings("pld"), Vec::new()), (inverse, equal(12, &[6, 12]))] {
        let method = find(&settings.name).unwrap();
        let schedule = table(&settings, 12, 400, &given);
        let at = Context { settings: &settings, shape: SHAPE, schedule: &schedule, step: 150 };
        let (mut sums, n) = ([0.0f64; 12], 4000);
        for seed in 0..n {
            let subnetwork = training_subnetwork(method, &at, seed);
            let active = subnetwork.path().active().enumerate();
            active.for_each(|(slot, layer)| sums[layer] += f64::from(subnetwork.factor(slot)));
        }
        for (layer, sum) in sums.iter().enumerate() {
            let p = method.expected(&at, layer);
            let sigma = ((1.0 - p) / p / n as f64).sqrt();
            let mean = sum / n as f64;
            assert!((mean - 1.0).abs() <= 4.5 * sigma + 1e-6, "{} layer {layer}: {mean}", settings.name);
        }
    }
}

#[test]
fn keep_ratios_are_those_of_the_formulas() {
    let schedule = table(&settings("pld"), 12, 1000, &[]);
    let pld = |step, layer| {
        let settings = settings("pld");
        find("pld").unwrap().expected(&Context { settings: &settings, shape: SHAPE, schedule: &schedule, step }, layer)
    };
    // theta(0) = 1; theta(10) = (1 + e^-1) / 2 with gamma = 100 / T; in the end theta = 0.5. p_l = 1 - l/12 (1 - theta).
    assert!((0..12).all(|layer| pld(0, layer) == 1.0));
    let ratio = 0.5 + 0.5 * (-1.0f64).exp();
    assert!((pld(10, 5) - (1.0 - 0.5 * (1.0 - ratio))).abs() < 1e-12);
    assert!((pld(999, 11) - 0.5).abs() < 1e-9 && (pld(999, 0) - (1.0 - 0.5 / 12.0)).abs() < 1e-9);
    // Stochastic depth: evaluation weighs by survival, 1 - l/12 (1 - 0.5), in the full model alone.
    let (settings, method) = (settings("stochastic-depth"), find("stochastic-depth").unwrap());
    let schedule = table(&settings, 12, 1000, &[]);
    let at = Context { settings: &settings, shape: SHAPE, schedule: &schedule, step: 5 };
    let full = evaluation_subnetwork(method, &at, at.stage().fixed, 12, 12, 1, 0);
    assert!((full.factor(11) - 0.5).abs() < 1e-6 && (full.factor(0) - (1.0 - 0.5 / 12.0) as f32).abs() < 1e-6);
    assert!((0..6).all(|slot| evaluation_subnetwork(method, &at, at.stage().fixed, 12, 6, 1, 0).factor(slot) == 1.0));
}

#[test]
fn a_person_may_change_what_makes_sense() {
    let asked = |name: &str, given: &[Row], edit: Edit, change: &dyn Fn(&mut Schedule) -> Result<(), String>| {
        let settings = settings(name);
        let now = table(&settings, 12, 400, given);
        let mut after = now.clone();
        change(&mut after)?;
        find(name).unwrap().allows(
            &Context { settings: &settings, shape: SHAPE, schedule: &now, step: 10 },
            edit,
            &after,
        )
    };
    let length = |stage: usize, n: usize| move |s: &mut Schedule| s.set_path_length(10, stage, n);
    let stages = equal(12, &[6, 9, 12]);
    assert!(asked("raptr", &stages, Edit::PathLength(0), &length(0, 4)).is_ok());
    assert!(asked("stacking", &stages, Edit::PathLength(1), &length(1, 8)).is_ok());
    assert!(asked("stacking", &stages, Edit::NextStage, &|s| s.next_stage(10)).is_ok());
    let refused = |name: &str, given: &[Row], edit, change: &dyn Fn(&mut Schedule) -> Result<(), String>, why: &str| {
        let reason = asked(name, given, edit, change).unwrap_err();
        assert!(reason.contains(why), "{name}: {reason}");
    };
    refused("stacking", &stages, Edit::PathLength(0), &length(0, 7), "layers of this stage exist");
    refused("stacking", &stages, Edit::PathLength(1), &length(1, 5), "must not fall");
    refused("stacking", &stages, Edit::PathLength(2), &length(2, 11), "must be 12 (all layers) in the last stage");
    refused("stacking", &stages, Edit::PreviousStage, &|_| Ok(()), "can't shrink");
    refused("midas", &[], Edit::PathLength(3), &length(3, 9), "grows by 2 layers");
    refused("pld", &[], Edit::PathLength(0), &length(0, 9), "method.theta");
    refused("full", &[], Edit::PathLength(0), &length(0, 9), "every layer in every step");
}

#[test]
fn an_unknown_method_is_told_the_known_ones() {
    let message = find("drop").err().unwrap();
    assert!(message.contains("`drop`") && METHODS.iter().all(|m| message.contains(m.name())), "{message}");
}

#[test]
fn every_exact_subset_is_equally_likely() {
    // 6 layers, 2 fixed, 2 of the 4 others: 6 subsets. Chi-square with 5 degrees of freedom, 99.9 % point 20.5.
    let fixed = LayerPath::from_layers(6, [0, 5]);
    let mut counts = std::collections::HashMap::new();
    for step in 0..6000 {
        let mut rng = keyed(4, Purpose::LayerPath, step, 0);
        *counts.entry(draw::exact(fixed, 6, 4, &mut rng)).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), 6);
    let chi: f64 = counts.values().map(|&c| (f64::from(c) - 1000.0).powi(2) / 1000.0).sum();
    assert!(chi < 20.5, "{chi}");
}

#[test]
fn inclusion_probabilities_are_the_papers() {
    // The closed form (len - |I|) / (L - |I|): L = 12 and 24, first and last layer fixed.
    for (layers, length, p) in
        [(12, 6, 0.4), (12, 8, 0.6), (12, 10, 0.8), (12, 12, 1.0), (24, 12, 0.4545), (24, 16, 0.6364), (24, 20, 0.8182)]
    {
        let fixed = LayerPath::from_layers(layers, [0, layers - 1]);
        assert!((draw::inclusion(f64::from(length), fixed) - p).abs() < 1e-4);
    }
}

#[test]
fn width_computes_the_same_share_of_every_layer() {
    // 4 heads and 8 groups: path lengths 6 and 12 of 12 are exact; 8 is 3 heads (of 2.67) and 5 groups (of 5.33). With an
    // MLP of twice the width, heads and columns have half of a layer's weights each.
    let shape = LayerShape { columns: 128, ..SHAPE };
    let width = MethodConfig { axis: Axis::Width, ..settings("raptr") };
    let (method, rows) = (find("raptr").unwrap(), equal(12, &[6, 8, 12]));
    let given = Given { settings: &width, layers: 12, shape, steps: 400, rows: &rows };
    let schedule = schedule(method, &given).unwrap();
    let worth = 12.0 * (3.0 / 4.0 / 2.0 + 5.0 / 8.0 / 2.0);
    assert_eq!(schedule.stages[0].mean, None);
    assert!((schedule.stages[1].mean.unwrap() - worth).abs() < 1e-12 && schedule.stages[2].mean.is_none());
    let mut visits = [[0u32; 4], [0; 4]];
    for step in 0..134 {
        let at = Context { settings: &width, shape, schedule: &schedule, step };
        let (heads, groups) = if step < 133 { (2, 4) } else { (3, 5) };
        let subnetwork = training_subnetwork(method, &at, 5);
        assert!(subnetwork.path().is_full());
        for slot in 0..12 {
            let parts = subnetwork.parts(slot).unwrap();
            assert_eq!((parts.heads.len(), parts.width()), (heads, groups * 16));
            assert!(
                parts.heads.windows(2).all(|w| w[0] < w[1]) && parts.columns.windows(2).all(|w| w[0].end <= w[1].start)
            );
            if step < 133 {
                parts.heads.iter().for_each(|&head| visits[0][head] += 1);
                parts.columns.iter().for_each(|columns| visits[1][columns.start / 32] += 1);
            }
        }
        let (text, _) = parts_text(&width, shape, subnetwork.parts(3).unwrap());
        assert_eq!(text.matches('1').count(), heads);
    }
    // 133 steps of 12 layers: each head half the time (798 +- 20), each pair of groups 1596 times.
    assert!(visits[0].iter().all(|&n| n.abs_diff(798) < 90), "{visits:?}");
    assert!(visits[1].iter().all(|&n| n.abs_diff(1596) < 130), "{visits:?}");
    let shared = MethodConfig { shared: true, ..width.clone() };
    let at = Context { settings: &shared, shape, schedule: &schedule, step: 3 };
    let subnetwork = training_subnetwork(method, &at, 5);
    assert!((1..12).all(|slot| subnetwork.parts(slot) == subnetwork.parts(0)));
    let full = Context { step: 399, ..at };
    assert_eq!(training_subnetwork(method, &full, 5), LayerPath::full(12).into());
}

#[test]
fn keys_of_the_other_axis_are_refused() {
    let complaint = |settings: MethodConfig| {
        let given = Given { settings: &settings, layers: 12, shape: SHAPE, steps: 400, rows: &[] };
        find("raptr").unwrap().rows(&given).err().map(|(key, _)| key)
    };
    let depth = settings("raptr");
    let width = MethodConfig { axis: Axis::Width, ..depth.clone() };
    assert_eq!((complaint(depth.clone()), complaint(width.clone())), (None, None));
    assert_eq!(complaint(MethodConfig { groups: 4, ..depth.clone() }), Some("method.groups"));
    assert_eq!(complaint(MethodConfig { shared: true, ..depth }), Some("method.shared"));
    assert_eq!(complaint(MethodConfig { groups: 7, ..width.clone() }), Some("method.groups"));
    assert_eq!(complaint(MethodConfig { scaling: Scaling::Sqrt, ..width.clone() }), Some("method.scaling"));
    assert_eq!(complaint(MethodConfig { fixed: vec![1], ..width }), Some("method.fixed"));
}
