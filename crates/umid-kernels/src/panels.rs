//! Memory that weights are laid out in: on huge pages where the system gives them when asked, as
//! half a gigabyte is a hundred thousand small ones, each a fault when it is first written.

use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// A fixed number of f32, all zero at first.
#[derive(Debug)]
pub(crate) struct Panels(MmapMut);

impl Panels {
    /// # Panics
    ///
    /// As a vector would, if there is no memory.
    pub(crate) fn zeros(count: usize) -> Self {
        let layout = Layout::array::<f32>(count).expect("fewer bytes than there are addresses");
        let map = MmapMut::map_anon(layout.size()).unwrap_or_else(|_| handle_alloc_error(layout));
        // A system that has none leaves the pages as they are.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Self(map)
    }
}

impl Deref for Panels {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        bytemuck::cast_slice(&self.0)
    }
}

impl DerefMut for Panels {
    fn deref_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

impl Clone for Panels {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len());
        copy.copy_from_slice(self);
        copy
    }
}
