//! The messages of long cases: text and bytes that resemble real messages. All of it is generated here.

use std::sync::OnceLock;

/// The style of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Material {
    /// Records in JSON.
    Json,
    /// English words.
    English,
    /// Like the pixels of a picture: runs, gradients, noise.
    Image,
    /// Like a program: short patterns that come again, and tables.
    Program,
    /// A little of each, and noise.
    Mixed,
}

/// Octets of each material that messages are cut from.
const POOL: usize = 384 << 10;

impl Material {
    /// All of them, in the order of the cases.
    pub const ALL: [Self; 5] = [
        Self::Json,
        Self::English,
        Self::Image,
        Self::Program,
        Self::Mixed,
    ];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON-like text",
            Self::English => "English text",
            Self::Image => "image-like octets",
            Self::Program => "program-like octets",
            Self::Mixed => "mixed octets",
        }
    }

    /// Whether it goes as text.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Json | Self::English)
    }

    /// The message of a turn: all turns differ for a long time.
    pub fn message(self, turn: usize, length: usize) -> Vec<u8> {
        static POOLS: [OnceLock<Vec<u8>>; 5] = [const { OnceLock::new() }; 5];
        let Some(pool) = POOLS
            .get(self as usize)
            .map(|pool| pool.get_or_init(|| self.make()))
        else {
            return Vec::new();
        };
        let start = (turn * 4099) % (POOL - length.min(POOL - 1));
        pool.get(start..start + length).unwrap_or_default().to_vec()
    }

    fn make(self) -> Vec<u8> {
        let (mut out, mut chance) = (Vec::with_capacity(POOL + 512), Chance(self as u64 + 1));
        while out.len() < POOL {
            match self {
                Self::Json => json(&mut chance, &mut out),
                Self::English => english(&mut chance, &mut out),
                Self::Image => image(&mut chance, &mut out),
                Self::Program => program(&mut chance, &mut out),
                Self::Mixed => match chance.below(5) {
                    0 => json(&mut chance, &mut out),
                    1 => english(&mut chance, &mut out),
                    2 => image(&mut chance, &mut out),
                    3 => program(&mut chance, &mut out),
                    _ => out.extend((0..200).map(|_| chance.below(256) as u8)),
                },
            }
        }
        out.truncate(POOL);
        out
    }
}

/// A small generator: the same material in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn of(&mut self, words: &[&'static str]) -> &'static str {
        words
            .get(self.below(words.len() as u64) as usize)
            .copied()
            .unwrap_or_default()
    }
}

const NAMES: [&str; 8] = [
    "sensor", "order", "player", "ticket", "trade", "vehicle", "session", "invoice",
];

const WORDS: [&str; 40] = [
    "the",
    "a",
    "of",
    "and",
    "to",
    "in",
    "that",
    "was",
    "his",
    "her",
    "with",
    "for",
    "as",
    "it",
    "on",
    "at",
    "by",
    "which",
    "from",
    "had",
    "harbour",
    "evening",
    "letter",
    "window",
    "captain",
    "garden",
    "river",
    "morning",
    "house",
    "road",
    "answered",
    "walked",
    "opened",
    "remembered",
    "slowly",
    "quiet",
    "northern",
    "yellow",
    "nothing",
    "always",
];

fn json(chance: &mut Chance, out: &mut Vec<u8>) {
    let record = format!(
        "{{\"type\":\"{}\",\"id\":{},\"at\":\"2026-0{}-1{}T0{}:3{}:00Z\",\"value\":{}.{:02},\"tags\":[\"{}\",\"{}\"],\"ok\":{}}},\n",
        chance.of(&NAMES),
        chance.below(1_000_000),
        1 + chance.below(9),
        chance.below(10),
        chance.below(10),
        chance.below(10),
        chance.below(500),
        chance.below(100),
        chance.of(&WORDS),
        chance.of(&WORDS),
        chance.below(2) == 0,
    );
    out.extend_from_slice(record.as_bytes());
}

fn english(chance: &mut Chance, out: &mut Vec<u8>) {
    let words = 6 + chance.below(12);
    for at in 0..words {
        out.extend_from_slice(chance.of(&WORDS).as_bytes());
        out.extend_from_slice(if at + 1 == words { b". " } else { b" " });
    }
}

fn image(chance: &mut Chance, out: &mut Vec<u8>) {
    let (base, step) = (chance.below(256), chance.below(3));
    let noise = 1 + chance.below(4);
    for x in 0..160 {
        out.push((base + x * step / 2 + chance.below(noise)) as u8);
    }
}

fn program(chance: &mut Chance, out: &mut Vec<u8>) {
    const CODE: [&[u8]; 6] = [
        &[0x55, 0x48, 0x89, 0xe5],
        &[0x48, 0x83, 0xec, 0x20],
        &[0xe8],
        &[0x0f, 0x84],
        &[0x48, 0x8b, 0x45],
        &[0xc9, 0xc3, 0x66, 0x90],
    ];
    for _ in 0..24 {
        if let Some(code) = CODE.get(chance.below(6) as usize) {
            out.extend_from_slice(code);
        }
        out.push(chance.below(64) as u8 * 4);
    }
    out.extend_from_slice(&[0; 12]);
}
