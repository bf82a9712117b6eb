//! Matrix products by cuBLASLt: f32 sums always, no TF32. What it advises for a shape is asked once and kept.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::size_of_val;
use std::ptr::from_ref;

use anyhow::{Result, anyhow};
use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{
    cublasComputeType_t as Compute, cublasLtEpilogue_t as Epilogue, cublasLtHandle_t, cublasLtMatmulAlgo_t,
    cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t as Of, cublasLtMatmulPreferenceAttributes_t as Wish,
    cublasLtMatrixLayout_t, cudaDataType_t as Data,
};
use cudarc::driver;

use crate::gpu::Kind;
use crate::gpu::device::Columns;

/// Bytes of scratch that a product may use.
const WORKSPACE: usize = 32 << 20;

/// What a product's plan depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    transposed: [bool; 2],
    shape: [usize; 3],
    strides: [usize; 3],
    kinds: [Kind; 2],
    /// Of the three matrices' addresses, in bytes, at most 256.
    aligned: [u32; 3],
    has_bias: bool,
}

struct Plan {
    description: cublasLtMatmulDesc_t,
    layouts: [cublasLtMatrixLayout_t; 3],
    algorithm: cublasLtMatmulAlgo_t,
}

/// The library's handle, its scratch, and the plans.
pub(super) struct Products {
    handle: cublasLtHandle_t,
    workspace: u64,
    plans: HashMap<Key, Plan>,
}

fn failed(doing: &'static str) -> impl Fn(CublasError) -> anyhow::Error {
    move |error| anyhow!("cuBLASLt failed while {doing}: {:?}", error.0)
}

fn data(kind: Kind) -> Data {
    if kind == Kind::Bf16 { Data::CUDA_R_16BF } else { Data::CUDA_R_32F }
}

/// Sets one attribute of a description.
///
/// # Safety
/// The description must be alive, and the value of the attribute's type.
unsafe fn set<T>(description: cublasLtMatmulDesc_t, of: Of, value: &T) -> Result<()> {
    // SAFETY: by our own contract.
    unsafe { result::set_matmul_desc_attribute(description, of, from_ref(value).cast(), size_of_val(value)) }
        .map_err(failed("describing a product"))
}

impl Products {
    pub fn new() -> Result<Self> {
        let handle = result::create_handle().map_err(failed("starting"))?;
        // SAFETY: a plain allocation, freed in `close`.
        let workspace = unsafe { driver::result::malloc_sync(WORKSPACE) };
        let workspace = workspace.map_err(|e| anyhow!("no memory on the GPU for cuBLASLt's scratch: {e:?}"))?;
        Ok(Self { handle, workspace, plans: HashMap::new() })
    }

    fn plan(&self, key: Key, bias: Option<u64>) -> Result<Plan> {
        let [m, n, k] = key.shape;
        let description = result::create_matmul_desc(Compute::CUBLAS_COMPUTE_32F, Data::CUDA_R_32F)
            .map_err(failed("describing a product"))?;
        // `cublasOperation_t`: as it is, or transposed.
        let operation = i32::from;
        let epilogue =
            if key.has_bias { Epilogue::CUBLASLT_EPILOGUE_BIAS } else { Epilogue::CUBLASLT_EPILOGUE_DEFAULT };
        // SAFETY: alive, and values of the types that the library's documentation gives.
        unsafe {
            set(description, Of::CUBLASLT_MATMUL_DESC_TRANSA, &operation(key.transposed[0]))?;
            set(description, Of::CUBLASLT_MATMUL_DESC_TRANSB, &operation(key.transposed[1]))?;
            set(description, Of::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
            if let Some(bias) = bias {
                set(description, Of::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias)?;
            }
        }
        // As they stand in memory, column by column.
        let stands = |is_transposed: bool, r: usize, c: usize| if is_transposed { (c, r) } else { (r, c) };
        let [a, b] = [stands(key.transposed[0], m, k), stands(key.transposed[1], k, n)];
        let layout = |kind: Kind, (rows, columns): (usize, usize), stride: usize| {
            result::create_matrix_layout(data(kind), rows as u64, columns as u64, stride as i64)
                .map_err(failed("describing a matrix"))
        };
        let layouts = [
            layout(key.kinds[0], a, key.strides[0])?,
            layout(key.kinds[0], b, key.strides[1])?,
            layout(key.kinds[1], (m, n), key.strides[2])?,
        ];
        let preference = result::create_matmul_pref().map_err(failed("describing a wish"))?;
        let wishes = [
            Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ];
        let [of_a, of_b, of_c] = key.aligned;
        // SAFETY: alive, and values of the types that the library's documentation gives (`uint32_t` and `size_t`).
        let heuristic = unsafe {
            let wish = |wish, value: *const c_void, size| {
                result::set_matmul_pref_attribute(preference, wish, value, size).map_err(failed("describing a wish"))
            };
            let most = WORKSPACE;
            wish(Wish::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, from_ref(&most).cast(), size_of_val(&most))?;
            for (which, bytes) in wishes.into_iter().zip([of_a, of_b, of_c, of_c]) {
                wish(which, from_ref(&bytes).cast(), size_of_val(&bytes))?;
            }
            let [a, b, c] = layouts;
            let best = result::get_matmul_algo_heuristic(self.handle, description, a, b, c, c, preference);
            result::destroy_matmul_pref(preference).map_err(failed("describing a wish"))?;
            best.map_err(failed("choosing a kernel"))?
        };
        Ok(Plan { description, layouts, algorithm: heuristic.algo })
    }

    /// One product in a stream.
    ///
    /// # Safety
    /// The spans must cover what the shape and the strides say, and the context be bound.
    pub unsafe fn multiply(&mut self, p: &Columns<'_>, stream: driver::sys::CUstream) -> Result<()> {
        let [a, b] = p.factors;
        let aligned = [a, b, p.c].map(|span| 1 << span.address().trailing_zeros().min(8));
        let key = Key {
            transposed: p.transposed,
            shape: [p.m, p.n, p.k],
            strides: [p.strides[0], p.strides[1], p.stride],
            kinds: [a.kind(), p.c.kind()],
            aligned,
            has_bias: p.bias.is_some(),
        };
        if !self.plans.contains_key(&key) {
            let plan = self.plan(key, p.bias.map(|bias| bias.address()));
            let plan = plan.map_err(|e| e.context(format!("a product of ({}, {}) over {}", p.m, p.n, p.k)))?;
            self.plans.insert(key, plan);
        }
        let plan = &self.plans[&key];
        let (alpha, beta) = (1.0f32, if p.is_added { 1.0f32 } else { 0.0 });
        let address = |span: crate::gpu::Span<'_>| span.address() as *const c_void;
        let [of_a, of_b, of_c] = plan.layouts;
        // SAFETY: plans are alive until `close`; the spans by our own contract; alpha and beta are read before it returns.
        unsafe {
            if let Some(bias) = p.bias {
                set(plan.description, Of::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias.address())?;
            }
            result::matmul(
                self.handle,
                plan.description,
                from_ref(&alpha).cast(),
                from_ref(&beta).cast(),
                address(a),
                of_a,
                address(b),
                of_b,
                address(p.c),
                of_c,
                p.c.address() as *mut c_void,
                of_c,
                from_ref(&plan.algorithm),
                self.workspace as *mut c_void,
                WORKSPACE,
                stream.cast(),
            )
        }
        .map_err(failed("multiplying"))
        .map_err(|e| e.context(format!("a product of ({}, {}) over {}", p.m, p.n, p.k)))
    }

    /// Gives everything back.
    pub fn close(&mut self) {
        for (_, plan) in self.plans.drain() {
            // SAFETY: alive until now, and not used again.
            unsafe {
                for layout in plan.layouts {
                    let _ = result::destroy_matrix_layout(layout);
                }
                let _ = result::destroy_matmul_desc(plan.description);
            }
        }
        // SAFETY: as above.
        unsafe {
            let _ = driver::result::free_sync(self.workspace);
            let _ = result::destroy_handle(self.handle);
        }
    }
}
