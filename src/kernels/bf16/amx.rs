//! Products of bf16 tiles on AMX (Sapphire Rapids and later): 16 x 16 results of 32 products each per instruction.
//!
//! Rust's AMX intrinsics aren't stable, so the four instructions stand in assembly.

use std::arch::asm;
use std::sync::OnceLock;

use super::{Block, Panels};

/// Whether this processor has AMX and the system lets this process use it (asked for once).
pub fn is_available() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| has_instructions() && is_permitted())
}

fn has_instructions() -> bool {
    const BF16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    let highest = std::arch::x86_64::__cpuid(0).eax;
    highest >= 7 && std::arch::x86_64::__cpuid_count(7, 0).edx & (BF16 | TILE) == BF16 | TILE
}

/// Linux saves the tiles' 8 KiB only for processes that ask.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: this call takes two integers, touches no memory of ours, and fails with an error on other systems.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}

/// What `ldtilecfg` reads: eight tiles of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

static CONFIG: TileConfig = TileConfig {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes_per_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Runs `f`, which calls [`block`], with the tiles configured.
pub fn configured(f: impl FnOnce()) {
    // SAFETY: called behind `is_available` only; the configuration is valid and 64 bytes long.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, readonly)) };
    f();
    // SAFETY: as above; no Rust code keeps anything in tiles.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
}

/// What the assembly reads, in this order.
#[repr(C)]
struct Work {
    c: *mut f32,     // 0
    row: usize,      // 8: bytes between rows of c
    tiles: usize,    // 16: tiles per segment
    segments: usize, // 24
    a_step: usize,   // 32: bytes from one segment's end to the next one's beginning
    b_step: usize,   // 40
    is_added: usize, // 48
    panel: usize,    // 56: bytes from one 16 columns of c to the next
}

/// One 32 x 32 block of a product.
///
/// # Safety
/// AMX is available and configured; the panels and the block lie inside their buffers.
pub unsafe fn block(c: Block, p: Panels) {
    let mut work = Work {
        c: c.data,
        row: c.row * 4,
        tiles: p.tiles,
        segments: p.segments,
        a_step: (p.a_segment - p.tiles * super::TILE) * 4,
        b_step: (p.b_segment - p.tiles * super::TILE) * 4,
        is_added: usize::from(c.is_added),
        panel: c.panel * 4,
    };
    // SAFETY: the caller's: every address is inside a panel or the block. Tiles are no registers of the compiler's.
    unsafe {
        asm!(
            // Four accumulators, from c or from zero.
            "mov {t}, [{w}]",
            "mov {u}, [{w} + 8]",
            "cmp qword ptr [{w} + 48], 0",
            "jne 2f",
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "jmp 3f",
            "2:",
            "mov {v}, {u}",
            "shl {v}, 4",
            "add {v}, {t}",
            "tileloadd tmm0, [{t} + {u}*1]",
            "tileloadd tmm2, [{v} + {u}*1]",
            "add {t}, [{w} + 56]",
            "add {v}, [{w} + 56]",
            "tileloadd tmm1, [{t} + {u}*1]",
            "tileloadd tmm3, [{v} + {u}*1]",
            "3:",
            "mov {v}, 64",
            "4:",
            "mov {t}, [{w} + 16]",
            "5:",
            "tileloadd tmm4, [{a0} + {v}*1]",
            "tileloadd tmm6, [{b0} + {v}*1]",
            "tileloadd tmm7, [{b1} + {v}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{a1} + {v}*1]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a0}, 1024",
            "add {a1}, 1024",
            "add {b0}, 1024",
            "add {b1}, 1024",
            "dec {t}",
            "jnz 5b",
            "add {a0}, [{w} + 32]",
            "add {a1}, [{w} + 32]",
            "add {b0}, [{w} + 40]",
            "add {b1}, [{w} + 40]",
            "dec qword ptr [{w} + 24]",
            "jnz 4b",
            "mov {t}, [{w}]",
            "mov {v}, {u}",
            "shl {v}, 4",
            "add {v}, {t}",
            "tilestored [{t} + {u}*1], tmm0",
            "tilestored [{v} + {u}*1], tmm2",
            "add {t}, [{w} + 56]",
            "add {v}, [{w} + 56]",
            "tilestored [{t} + {u}*1], tmm1",
            "tilestored [{v} + {u}*1], tmm3",
            w = in(reg) &raw mut work,
            a0 = inout(reg) p.a[0] => _,
            a1 = inout(reg) p.a[1] => _,
            b0 = inout(reg) p.b[0] => _,
            b1 = inout(reg) p.b[1] => _,
            t = out(reg) _,
            u = out(reg) _,
            v = out(reg) _,
            options(nostack),
        );
    }
}
