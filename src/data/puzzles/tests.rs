//! Each kind's texts are read a second time here, by other means: answers are worked out from the words alone, and a
//! document's probability is counted as a product over its choices.

use std::collections::HashMap;

use super::*;
use crate::rng::{Purpose, keyed};

/// With limits in the order of the table.
fn puzzles([nesting, chain, hops, moves]: [usize; 4]) -> Puzzles {
    Puzzles::new(&DataConfig { nesting, chain, hops, moves, ..DataConfig::default() })
}

fn sequence(puzzles: &Puzzles, seed: u64, index: u64, length: usize) -> Vec<u32> {
    let mut out = vec![0; length];
    puzzles.sequence(Split::Train, &mut keyed(seed, Purpose::Batch, 0, index), &mut out);
    out
}

/// A document read again: what its words cost in all, in nats, and the expected difficulty of each (0: no answer).
struct Again {
    nats: f64,
    difficulty: Vec<usize>,
}

fn ln(n: usize) -> f64 {
    (n as f64).ln()
}

fn ln_factorial(n: usize) -> f64 {
    (1..=n).map(ln).sum()
}

/// Subjects cost one of eight, and so does the choice to open or close where there is one.
fn read_scene(words: &[&str], limit: usize) -> Again {
    let verb_of: HashMap<&str, &str> =
        "dog barks owl hoots cat purrs bee hums duck quacks frog croaks lion roars wolf howls"
            .split(' ')
            .collect::<Vec<_>>()
            .chunks(2)
            .map(|pair| (pair[0], pair[1]))
            .collect();
    let (mut nats, mut depth) = (0.0, 0);
    let mut difficulty = Vec::new();
    for (i, word) in words.iter().enumerate() {
        if depth > 0 && depth < limit && i < 64 {
            nats += ln(2);
        }
        if verb_of.contains_key(word) {
            assert!(i < 64 && depth < limit);
            nats += ln(8);
            depth += 1;
            difficulty.push(0);
            continue;
        }
        depth -= 1;
        // The subject is the last one before which as many clauses were open; the deepest point since then counts.
        let level =
            |to: usize| -> i32 { words[..to].iter().map(|w| if verb_of.contains_key(w) { 1 } else { -1 }).sum() };
        let at = (0..i).rev().find(|&at| level(at) == depth as i32).unwrap();
        assert_eq!(verb_of[words[at]], *word);
        let deepest = (at..=i).map(level).max().unwrap();
        difficulty.push((deepest - depth as i32) as usize);
    }
    assert_eq!(depth, 0);
    assert!(words.len() >= 64);
    Again { nats, difficulty }
}

/// The probability of `steps` steps among those from `least` on, by adding up.
fn share(steps: usize, least: usize, limit: usize) -> f64 {
    let weight = |steps: usize| (0..steps).fold(1.0, |w: f64, _| w * 3.0 / 4.0);
    weight(steps) / (least..=limit).map(weight).sum::<f64>()
}

/// Ten, nine and eight digits to begin with, then one of three sources each, and whether its value is told.
fn read_assignments(words: &[&str], limit: usize) -> Again {
    let is_digit = |w: &str| w.parse::<u32>().is_ok();
    let mut nats = ln(10) + ln(9) + ln(8);
    let mut difficulty = Vec::new();
    // Variable, source, and whether its value was told.
    let mut statements: Vec<(&str, &str, bool)> = Vec::new();
    // The value of a name, and how many assignments away it can first be read.
    let follow = |statements: &[(&str, &str, bool)], from: &str| {
        let (mut steps, mut name, mut told) = (0, from.to_owned(), None);
        while !is_digit(&name) {
            let statement = statements.iter().find(|s| s.0 == name).unwrap();
            (steps, name) = (steps + 1, statement.1.to_owned());
            if statement.2 || is_digit(&name) {
                told = told.or(Some(steps));
            }
        }
        (name, told.unwrap())
    };
    let mut left = words;
    for letter in 'a'..='z' {
        let (variable, source) = (left[0], left[1]);
        left = &left[2..];
        assert_eq!(variable, letter.to_string());
        difficulty.extend([0, 0]);
        if is_digit(source) {
            assert!(statements.len() < 3 && statements.iter().all(|s| s.1 != source));
            statements.push((variable, source, false));
            continue;
        }
        // One of three that nothing has taken its value from.
        assert!(statements.len() >= 3 && statements.iter().all(|s| s.1 != source));
        nats += ln(3);
        let (value, steps) = follow(&statements, source);
        let is_told = left.first().is_some_and(|w| is_digit(w));
        if is_told {
            assert_eq!(left[0], value);
            difficulty.push(steps);
            left = &left[1..];
        }
        let told = if letter == 'z' { 1.0 } else { share(steps, steps, limit) };
        nats -= if is_told { told.ln() } else { (1.0 - told).ln() };
        statements.push((variable, source, is_told));
    }
    assert!(left.is_empty());
    Again { nats, difficulty }
}

/// All n! orders and all (n-1)! cycles are equally likely; then a start among n, and a length, per walk.
fn read_map(words: &[&str], limit: usize) -> Again {
    let n = 2 * limit;
    let pointers: HashMap<&str, &str> = words[..2 * n].chunks(2).map(|pair| (pair[0], pair[1])).collect();
    assert_eq!(pointers.len(), n);
    let mut nats = ln_factorial(n) + ln_factorial(n - 1);
    let (mut place, mut around) = (words[0], 0);
    while around == 0 || place != words[0] {
        (place, around) = (pointers[place], around + 1);
    }
    assert_eq!(around, n, "one cycle");
    let mut difficulty = vec![0; 2 * n];
    let mut left = &words[2 * n..];
    while !left.is_empty() {
        let steps = left[1..].iter().take_while(|w| **w == ">").count();
        assert!((1..=limit).contains(&steps));
        let end = (0..steps).fold(left[0], |place, _| pointers[place]);
        assert_eq!(left[steps + 1], end);
        nats += ln(n) - share(steps, 1, limit).ln();
        difficulty.extend(std::iter::repeat_n(0, steps + 1));
        difficulty.push(steps);
        left = &left[steps + 2..];
    }
    assert!(words.len() >= 64);
    Again { nats, difficulty }
}

/// Shuffles are one of three, and a run of them has its length.
fn read_cups(words: &[&str], limit: usize) -> Again {
    let (mut row, mut nats, mut moves) = (Vec::new(), ln(5), 0);
    let mut difficulty = Vec::new();
    for word in words {
        // The row of cups itself is shuffled here, the ball among them.
        match *word {
            "roll" => row.rotate_right(1),
            "flip" => row.reverse(),
            "twist" => {
                row.swap(0, 1);
                row.swap(2, 3);
            }
            letter => {
                let place = "abcde".find(letter).unwrap();
                assert!(row.is_empty() || row[place]);
                nats -= if row.is_empty() { 0.0 } else { share(moves, 1, limit).ln() };
                row = (0..5).map(|i| i == place).collect();
                difficulty.push(moves);
                moves = 0;
                continue;
            }
        }
        moves += 1;
        nats += ln(3);
        difficulty.push(0);
    }
    assert!(moves == 0 && words.len() >= 64);
    Again { nats, difficulty }
}

#[test]
fn answers_difficulties_and_probabilities_are_those_worked_out_from_the_words() {
    for (limits, seed) in
        [([4, 8, 6, 10], 1), ([1, 1, 1, 1], 2), ([9, 3, 2, 20], 3), ([0, 0, 8, 0], 4), ([2, 0, 3, 7], 5)]
    {
        let puzzles = puzzles(limits);
        let (classes, kinds) = (puzzles.classes(), limits.iter().filter(|l| **l > 0).count());
        assert_eq!(classes.len(), limits.iter().sum::<usize>());
        let mut read = [0; 4];
        for index in 0..60 {
            let tokens = sequence(&puzzles, seed, index, 500);
            let (surprisal, class) = (puzzles.surprisal(&tokens).unwrap(), puzzles.class(&tokens));
            let text = puzzles.decode(&tokens);
            let mut at = 0;
            // The last one is cut.
            let documents: Vec<&str> = text.split('\n').collect();
            for document in &documents[..documents.len() - 1] {
                let words: Vec<&str> = document.split(' ').collect();
                let which = ["scene", "let", "map", "cups"].iter().position(|w| *w == words[0]).unwrap();
                let again = [read_scene, read_assignments, read_map, read_cups][which](&words[1..], limits[which]);
                let name = ["nesting", "chain", "hops", "moves"][which];
                let end = at + 1 + words.len();
                let nats: f64 = surprisal[at..end].iter().map(|s| f64::from(*s)).sum();
                let expected = again.nats + ln(kinds);
                assert!((nats - expected).abs() < 1e-4 * expected, "{document}: {nats} {expected}");
                let named = class[at + 1..end - 1].iter().map(|c| c.map_or("", |c| classes[c].as_str()));
                for (got, difficulty) in named.zip(&again.difficulty) {
                    let expected = if *difficulty == 0 { String::new() } else { format!("{name} {difficulty}") };
                    assert_eq!(got, expected, "{document}");
                }
                assert_eq!((class[at], class[end - 1], again.difficulty.len()), (None, None, words.len() - 1));
                read[which] += 1;
                at = end;
            }
        }
        assert!(read.iter().zip(limits).all(|(n, limit)| (*n > 40) == (limit > 0)), "{read:?}");
    }
}

#[test]
fn worked_by_hand() {
    let puzzles = puzzles([2, 3, 2, 2]);
    let token = |word: &str| puzzles.words.iter().position(|w| w == word).unwrap() as u32;
    let told = |text: &str| text.split(' ').map(token).collect::<Vec<_>>();
    for (text, p, class) in [
        // One kind of four; three digits; one chain of three, and its value or not: 16 of (16 + 12 + 9) / 64, or the rest.
        (
            "let a 7 b 3 c 5 d a 7",
            &[4.0, 1.0, 10.0, 1.0, 9.0, 1.0, 8.0, 1.0, 3.0, 37.0 / 16.0][..],
            &[(9, "chain 1")][..],
        ),
        // The value of d was not told: e's is two steps away, told in 12 of 21. That of f is one step, as e's was told.
        (
            "let a 7 b 3 c 5 d a e d 7 f e 7",
            &[4.0, 1.0, 10.0, 1.0, 9.0, 1.0, 8.0, 1.0, 3.0, 37.0 / 21.0, 3.0, 21.0 / 12.0, 1.0, 3.0, 37.0 / 16.0],
            &[(11, "chain 2"), (14, "chain 1")],
        ),
        // Three steps are the limit: told for certain. Another chain does not shorten them.
        (
            "let a 7 b 3 c 5 d a e d f b g e 7",
            &[4.0, 1.0, 10.0, 1.0, 9.0, 1.0, 8.0, 1.0, 3.0, 37.0 / 21.0, 3.0, 21.0 / 9.0, 3.0, 37.0 / 21.0, 3.0, 1.0],
            &[(15, "chain 3")],
        ),
        // c > a closes the cycle: nothing but d is left for b once a and c point elsewhere.
        (
            "map a c b d c b d a a > > b",
            &[4.0, 4.0, 3.0, 3.0, 2.0, 2.0, 1.0, 1.0, 1.0, 4.0, 1.0, 7.0 / 3.0, 1.0],
            &[(12, "hops 2")],
        ),
        (
            "scene dog owl hoots cat purrs barks bee hums",
            &[4.0, 8.0, 16.0, 1.0, 16.0, 1.0, 2.0, 8.0, 2.0],
            &[(3, "nesting 1"), (5, "nesting 1"), (6, "nesting 2"), (8, "nesting 1")],
        ),
        // b rolls to c, which stays when flipped; twisted it would be d. Two shuffles are the limit.
        ("cups b roll flip c roll d", &[4.0, 5.0, 3.0, 7.0, 1.0, 3.0, 7.0 / 4.0], &[(4, "moves 2"), (6, "moves 1")]),
    ] {
        let tokens = told(text);
        let surprisal = puzzles.surprisal(&tokens).unwrap();
        let close = surprisal.iter().zip(p).all(|(s, p): (&f32, &f64)| (f64::from(*s) - p.ln()).abs() < 1e-6);
        assert!(
            close && surprisal.len() == p.len(),
            "{text}: {:?}",
            surprisal.iter().map(|s| s.exp()).collect::<Vec<_>>()
        );
        let names = puzzles.classes();
        let got: Vec<(usize, &str)> =
            puzzles.class(&tokens).iter().enumerate().filter_map(|(i, c)| Some((i, names[(*c)?].as_str()))).collect();
        assert_eq!(got, class, "{text}");
    }
    // What can't come: a wrong verb, a wrong value, a cycle that closes early, a word of another kind.
    for text in [
        "scene dog hoots",
        "let a 7 b 3 c 5 d a 3",
        "map a b b a",
        "map a dog",
        "dog",
        "let a 7 b 7",
        "let b",
        "cups b roll d",
    ] {
        assert_eq!(puzzles.surprisal(&told(text)), None, "{text}");
    }
}

#[test]
fn next_word_probabilities_sum_to_one_and_name_each_word_once() {
    let puzzles = puzzles([4, 8, 6, 10]);
    for index in 0..30 {
        let mut reader = puzzles.reader();
        for token in sequence(&puzzles, 6, index, 300) {
            let mut next = reader.next();
            assert!((next.iter().map(|n| n.1).sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(next.iter().all(|n| n.1 > 0.0 && (n.0 as usize) < puzzles.vocabulary.size && n.0 != words::MASK));
            next.sort_by_key(|n| n.0);
            assert!(next.windows(2).all(|pair| pair[0].0 < pair[1].0));
            reader.take(token);
        }
    }
}

#[test]
fn texts_come_as_often_as_their_surprisal_says() {
    // Beginnings of few words of small languages, counted.
    for (limits, length, least) in [([2, 0, 2, 2], 5, 100.0), ([0, 4, 0, 0], 7, 700.0)] {
        let puzzles = puzzles(limits);
        let (draws, mut counts) = (40_000, HashMap::new());
        for index in 0..draws {
            *counts.entry(sequence(&puzzles, 7, index, length)).or_insert(0u32) += 1;
        }
        let (mut chi, mut cells, mut mass) = (0.0, 0.0, 0.0);
        for (text, count) in counts {
            let p = (-puzzles.surprisal(&text).unwrap().iter().map(|s| f64::from(*s)).sum::<f64>()).exp();
            let expected = p * draws as f64;
            if expected > 20.0 {
                chi += (f64::from(count) - expected).powi(2) / expected;
                cells += 1.0;
                mass += p;
            }
        }
        // Chi-square of that many cells: mean as many, variance twice that.
        let is_likely = f64::abs(chi - cells) < 4.0 * f64::sqrt(2.0 * cells);
        assert!(cells >= least && mass > 0.6 && is_likely, "{limits:?}: {chi} in {cells} cells, {mass}");
    }
}

#[test]
fn each_sort_of_word_comes_as_often_as_was_said() {
    let puzzles = puzzles([4, 8, 6, 10]);
    let sorts = [
        words::DIGITS,
        words::LETTERS,
        words::SUBJECTS,
        words::VERBS,
        words::MOVES,
        words::THEN..words::THEN + 1,
        0..1,
    ];
    for sort in sorts {
        // Each word tells at most one of: said, and happened; their difference is a martingale.
        let (mut excess, mut variance) = (0.0, 0.0);
        for index in 0..300 {
            let mut reader = puzzles.reader();
            for token in sequence(&puzzles, 9, index, 200) {
                let p: f64 = reader.next().iter().filter(|(t, _)| sort.contains(t)).map(|(_, p)| p).sum();
                excess += f64::from(u8::from(sort.contains(&token))) - p;
                variance += p * (1.0 - p);
                reader.take(token);
            }
        }
        assert!(excess.abs() <= 4.0 * variance.sqrt() + 1e-6, "{sort:?}: {excess} +- {}", variance.sqrt());
    }
}

#[test]
fn text_depends_on_the_generator_alone_and_the_rules_do_not_move() {
    let puzzles = puzzles([4, 8, 6, 10]);
    assert_eq!(sequence(&puzzles, 1, 5, 65), sequence(&puzzles, 1, 5, 65));
    let all: std::collections::HashSet<_> = (0..3000).map(|i| sequence(&puzzles, 1, i, 65)).collect();
    assert_eq!(all.len(), 3000);
    assert!(!all.contains(&sequence(&puzzles, 2, 0, 65)));
    // A checksum for each set of limits; this one's is that of the recorded runs.
    assert_ne!(puzzles.checksum(), super::Puzzles::new(&DataConfig { hops: 5, ..DataConfig::default() }).checksum());
    assert_eq!(puzzles.checksum(), "a6f8cbd1c6642785");
}

#[test]
fn words_of_another_document_do_no_harm() {
    // A class is asked of any tokens: whatever they are, nothing breaks.
    let puzzles = puzzles([4, 8, 6, 10]);
    for index in 0..200 {
        let mut rng = keyed(8, Purpose::Batch, 0, index);
        let mut tokens: Vec<u32> = (0..80).map(|_| rng.below(64) as u32).collect();
        tokens[0] = words::SCENE + rng.below(3) as u32;
        assert_eq!(puzzles.class(&tokens).len(), 80);
        assert_eq!(puzzles.surprisal(&tokens), None);
        assert_eq!(puzzles.decode(&tokens).matches('?').count(), tokens.iter().filter(|t| **t >= 62).count());
    }
}
