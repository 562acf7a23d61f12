//! Translates indices of the modules of a group to indices of the merged module, and folds constant expressions.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use wasm_encoder::{
    ConstExpr, Instruction,
    reencode::{Error, Reencode, utils},
};
use wasmparser::Operator;

use super::{
    module::{Space, Spaces, at},
    reason::NotMerged,
};

/// The indices of the module that is being merged.
#[derive(Default)]
pub(super) struct Indices {
    pub(super) types: Vec<u32>,
    pub(super) items: Spaces<Vec<u32>>,
    pub(super) elements: Range<u32>,
    pub(super) data: Range<u32>,
    /// Values of the immutable globals that the merged module defines.
    pub(super) constants: BTreeMap<u32, Vec<Instruction<'static>>>,
    /// Functions that instructions of functions refer to by `ref.func`. The merged module must declare them.
    pub(super) referenced: BTreeSet<u32>,
}

impl Indices {
    fn item(&self, space: Space, index: u32) -> Result<u32, Error<NotMerged>> {
        at(&self.items[space], index).copied().map_err(Error::UserError)
    }

    /// Returns the instructions of a constant expression. Replaces known globals by their values, which a module may
    /// only read if it imports them, and evaluates arithmetic.
    pub(super) fn fold(
        &mut self,
        expression: &wasmparser::ConstExpr<'_>,
    ) -> Result<Vec<Instruction<'static>>, Error<NotMerged>> {
        let mut folded = Vec::new();
        let mut operators = expression.get_operators_reader();
        while !operators.is_end_then_eof() {
            let instruction = utils::instruction(self, operators.read()?)?;
            match &instruction {
                Instruction::GlobalGet(index) if let Some(value) = self.constants.get(index) => {
                    folded.extend_from_slice(value);
                }
                _ => push(&mut folded, owned(&instruction).ok_or(Error::UserError(NotMerged::Proposal))?),
            }
        }
        Ok(folded)
    }
}

fn segment(segments: &Range<u32>, index: u32) -> Result<u32, Error<NotMerged>> {
    segments.clone().nth(index as usize).ok_or(Error::UserError(NotMerged::Malformed))
}

/// Appends an instruction to a constant expression, or the result of the instruction if its operands are constant.
fn push(expression: &mut Vec<Instruction<'static>>, instruction: Instruction<'static>) {
    use Instruction::{I32Add, I32Const, I32Mul, I32Sub, I64Add, I64Const, I64Mul, I64Sub};

    let result = match (&expression[..], &instruction) {
        ([.., I32Const(a), I32Const(b)], I32Add) => I32Const(a.wrapping_add(*b)),
        ([.., I32Const(a), I32Const(b)], I32Sub) => I32Const(a.wrapping_sub(*b)),
        ([.., I32Const(a), I32Const(b)], I32Mul) => I32Const(a.wrapping_mul(*b)),
        ([.., I64Const(a), I64Const(b)], I64Add) => I64Const(a.wrapping_add(*b)),
        ([.., I64Const(a), I64Const(b)], I64Sub) => I64Const(a.wrapping_sub(*b)),
        ([.., I64Const(a), I64Const(b)], I64Mul) => I64Const(a.wrapping_mul(*b)),
        _ => return expression.push(instruction),
    };
    expression.truncate(expression.len() - 2);
    expression.push(result);
}

/// Returns a copy of an instruction of a constant expression that borrows nothing. Returns `None` for instructions of
/// the garbage collection proposal, which must not be copied: each execution makes another object.
fn owned(instruction: &Instruction<'_>) -> Option<Instruction<'static>> {
    use Instruction as I;

    Some(match *instruction {
        I::I32Const(value) => I::I32Const(value),
        I::I64Const(value) => I::I64Const(value),
        I::F32Const(value) => I::F32Const(value),
        I::F64Const(value) => I::F64Const(value),
        I::V128Const(value) => I::V128Const(value),
        I::RefNull(ty) => I::RefNull(ty),
        I::RefFunc(function) => I::RefFunc(function),
        I::GlobalGet(global) => I::GlobalGet(global),
        I::I32Add => I::I32Add,
        I::I32Sub => I::I32Sub,
        I::I32Mul => I::I32Mul,
        I::I64Add => I::I64Add,
        I::I64Sub => I::I64Sub,
        I::I64Mul => I::I64Mul,
        _ => return None,
    })
}

impl Reencode for Indices {
    type Error = NotMerged;

    fn type_index(&mut self, index: u32) -> Result<u32, Error<NotMerged>> {
        at(&self.types, index).copied().map_err(Error::UserError)
    }

    fn function_index(&mut self, index: u32) -> Result<u32, Error<NotMerged>> {
        self.item(Space::Func, index)
    }

    fn table_index(&mut self, index: u32) -> Result<u32, Error<NotMerged>> {
        self.item(Space::Table, index)
    }

    fn memory_index(&mut self, index: u32) -> Result<u32, Error<NotMerged>> {
        self.item(Space::Memory, index)
    }

    fn global_index(&mut self, index: u32) -> Result<u32, Error<NotMerged>> {
        self.item(Space::Global, index)
    }

    fn element_index(&mut self, index: u32) -> Result<u32, Error<NotMerged>> {
        segment(&self.elements, index)
    }

    fn data_index(&mut self, index: u32) -> Result<u32, Error<NotMerged>> {
        segment(&self.data, index)
    }

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>, Error<NotMerged>> {
        if let Operator::RefFunc { function_index } = operator {
            let function = self.function_index(function_index)?;
            self.referenced.insert(function);
        }
        utils::instruction(self, operator)
    }

    fn const_expr(&mut self, expression: wasmparser::ConstExpr<'_>) -> Result<ConstExpr, Error<NotMerged>> {
        Ok(ConstExpr::extended(self.fold(&expression)?))
    }
}
