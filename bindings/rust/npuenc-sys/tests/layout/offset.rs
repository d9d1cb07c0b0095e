// SPDX-License-Identifier: MIT
macro_rules! offset {
    ($module:ident::$name:ident, $field:ident) => {{
        let place = std::mem::MaybeUninit::<$module::$name>::uninit();
        let base = place.as_ptr();
        // SAFETY: the place is there, and only addresses are taken.
        let field = unsafe { std::ptr::addr_of!((*base).$field) };
        field as i64 - base as i64
    }};
}
