//! What this CPU can do, and its hints.

use std::sync::LazyLock;

/// Instruction sets that code is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    Baseline,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 F, VL, BW and DQ.
    Avx512,
}

/// Instructions that this process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instructions {
    isa: Isa,
    /// Dot products of 8-bit integers (VNNI).
    int8: bool,
    /// Dot products of bfloat16 numbers.
    bfloat16: bool,
}

/// Those of the CPU, or fewer where oneDNN, which computes our matrix products, is told to use fewer.
static INSTRUCTIONS: LazyLock<Instructions> = LazyLock::new(|| {
    // Both names are oneDNN's, and it looks for them in this order.
    let cap = ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty());
    detected().capped(cap.as_deref())
});

#[cfg(target_arch = "x86_64")]
fn detected() -> Instructions {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq");
    Instructions {
        isa: match (avx2, avx512) {
            (_, true) => Isa::Avx512,
            (true, _) => Isa::Avx2,
            _ => Isa::Baseline,
        },
        int8: avx512 && is_x86_feature_detected!("avx512vnni")
            || avx2 && is_x86_feature_detected!("avxvnni"),
        bfloat16: avx512 && is_x86_feature_detected!("avx512bf16"),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detected() -> Instructions {
    Instructions {
        isa: Isa::Baseline,
        int8: false,
        bfloat16: false,
    }
}

impl Instructions {
    /// Those that oneDNN's name of an instruction set leaves; a name it does not know leaves all, as there.
    fn capped(self, name: Option<&str>) -> Self {
        let (isa, int8, bfloat16) = match name.map(str::to_ascii_lowercase).as_deref() {
            Some("sse41" | "avx") => (Isa::Baseline, false, false),
            Some("avx2") => (Isa::Avx2, false, false),
            Some("avx2_vnni" | "avx2_vnni_2") => (Isa::Avx2, true, false),
            Some("avx512_core") => (Isa::Avx512, false, false),
            Some("avx512_core_vnni") => (Isa::Avx512, true, false),
            _ => (Isa::Avx512, true, true),
        };
        Instructions {
            isa: self.isa.min(isa),
            int8: self.int8 && int8,
            bfloat16: self.bfloat16 && bfloat16,
        }
    }
}

/// The best instruction set there is.
pub fn isa() -> Isa {
    INSTRUCTIONS.isa
}

/// Whether bfloat16 numbers are multiplied.
pub fn multiplies_bfloat16() -> bool {
    INSTRUCTIONS.bfloat16
}

/// Whether there are instructions that multiply 8-bit integers without overflow in between (VNNI).
/// Those of AVX-512 and those of AVX2 are not told apart: under a cap the others may be left.
pub fn multiplies_int8() -> bool {
    INSTRUCTIONS.int8
}

/// Asks for the cache line at an address, which may be any.
#[inline(always)]
pub fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; it neither reads nor faults. The instruction belongs to every x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_takes_away_and_never_adds() {
        let all = Instructions {
            isa: Isa::Avx512,
            int8: true,
            bfloat16: true,
        };
        let old = Instructions {
            isa: Isa::Avx2,
            int8: false,
            bfloat16: false,
        };
        let cap = |name| {
            let Instructions {
                isa,
                int8,
                bfloat16,
            } = all.capped(Some(name));
            (isa, int8, bfloat16)
        };
        assert_eq!(cap("SSE41"), (Isa::Baseline, false, false));
        assert_eq!(cap("AVX2"), (Isa::Avx2, false, false));
        assert_eq!(cap("AVX2_VNNI"), (Isa::Avx2, true, false));
        assert_eq!(cap("AVX512_CORE"), (Isa::Avx512, false, false));
        assert_eq!(cap("avx512_core_vnni"), (Isa::Avx512, true, false));
        assert_eq!(cap("AVX512_CORE_AMX"), (Isa::Avx512, true, true));
        assert_eq!(cap("no such name"), (Isa::Avx512, true, true));
        assert_eq!(all.capped(None), all);
        assert_eq!(old.capped(Some("AVX512_CORE_AMX")), old);
    }
}
