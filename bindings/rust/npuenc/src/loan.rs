// SPDX-License-Identifier: MIT
//! A vector that somebody else writes to.
use std::mem::ManuallyDrop;

/// The memory of a vector, taken apart so that no reference to it is there while npuenc writes.
pub(crate) struct Loan<T> {
    pointer: *mut T,
    length: usize,
    capacity: usize,
}

// SAFETY: it owns what it points to as a vector does.
unsafe impl<T: Send> Send for Loan<T> {}
unsafe impl<T: Sync> Sync for Loan<T> {}

impl<T> Loan<T> {
    pub(crate) fn new(vector: Vec<T>) -> Self {
        let mut vector = ManuallyDrop::new(vector);
        Self {
            pointer: vector.as_mut_ptr(),
            length: vector.len(),
            capacity: vector.capacity(),
        }
    }

    /// Room for as many elements as the vector's capacity.
    pub(crate) fn as_mut_ptr(&self) -> *mut T {
        self.pointer
    }

    /// The vector, with the elements that were written or else those that it had.
    ///
    /// # Safety
    ///
    /// Nobody writes any more, and so many elements at the beginning hold values.
    pub(crate) unsafe fn into_vec(self, written: Option<usize>) -> Vec<T>
    where
        T: Copy,
    {
        let this = ManuallyDrop::new(self);
        let length = written.unwrap_or(this.length);
        // SAFETY: it came from a vector, and its elements hold values.
        unsafe { Vec::from_raw_parts(this.pointer, length, this.capacity) }
    }
}

impl<T> Drop for Loan<T> {
    fn drop(&mut self) {
        // SAFETY: it came from a vector.
        drop(unsafe { Vec::from_raw_parts(self.pointer, self.length, self.capacity) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    struct Address(*mut f32);
    // SAFETY: what it points to is written by one thread at a time.
    unsafe impl Send for Address {}
    impl Address {
        fn write(self, count: usize) {
            for i in 0..count {
                // SAFETY: the loan has room and is there.
                unsafe { self.0.add(i).write(i as f32) }
            }
        }
    }

    /// As npuenc does: another thread writes while the owner is moved about.
    fn written(vector: Vec<f32>, count: usize) -> Vec<f32> {
        let loan = Loan::new(vector);
        let address = Address(loan.as_mut_ptr());
        let writer = thread::spawn(move || address.write(count));
        let moved = Box::new(Some(loan));
        writer.join().unwrap();
        // SAFETY: the writer has ended and has written so many.
        unsafe { moved.unwrap().into_vec(Some(count)) }
    }

    #[test]
    fn what_is_written_comes_back_in_the_same_memory() {
        let vector = Vec::with_capacity(5);
        let before: *const f32 = vector.as_ptr();
        let vector = written(vector, 5);
        assert_eq!(vector, [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(vector.as_ptr(), before);
        assert_eq!(written(vec![9.0; 4], 2), [0.0, 1.0]);
        assert_eq!(written(Vec::new(), 0), []);
    }

    #[test]
    fn without_a_result_it_is_as_it_was() {
        let loan = Loan::new(vec![1, 2, 3]);
        // SAFETY: nobody writes.
        assert_eq!(unsafe { loan.into_vec(None) }, [1, 2, 3]);
    }

    #[test]
    fn what_is_not_asked_for_goes() {
        drop(Loan::new(vec![String::from("x"); 3]));
        drop(Loan::new(Vec::<String>::with_capacity(3)));
    }
}
