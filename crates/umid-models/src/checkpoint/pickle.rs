//! Parses a pickle into plain values. Nothing is imported, called or built: a call becomes a value
//! that says which global was called with which arguments.
//!
//! Reference: CPython, `Lib/pickle.py` and `Lib/pickletools.py`. Known are the operations of
//! protocols 2 to 4 that PyTorch's `torch.save` and `torch.jit.save` write; any other operation is
//! an error that names it. Values live in tables and refer to each other by index, so that no
//! nesting, however deep, takes the program's stack; every table is bounded.

use std::collections::HashMap;

/// Operations of one pickle. A training checkpoint of the largest CLIP has about 300,000.
const MOST_OPERATIONS: usize = 1 << 22;
/// Memo entries of one pickle. The same checkpoint has about 80,000.
const MOST_MEMOS: usize = 1 << 19;
/// Tuples inside tuples. PyTorch's checkpoints nest fewer than ten.
const DEEPEST: usize = 64;

/// A value; those that hold others are indices into a [`Pickle`]'s tables.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    Tuple(usize),
    List(usize),
    /// A dictionary, or the result of a call.
    Object(usize),
    /// A name in a module.
    Global(usize),
    /// Something outside the pickle, by its identifier: a storage.
    Persistent(usize),
    /// Numbers and bytes that no tensor's description has.
    Other,
}

/// A dictionary, or the result of a call.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    /// What was called, with which arguments; `None` for a dictionary.
    pub(super) made_by: Option<(Global<'a>, Value<'a>)>,
    /// What was put into it.
    pub(super) items: Vec<(Value<'a>, Value<'a>)>,
    /// What was given to it as its state.
    pub(super) state: Option<Value<'a>>,
}

/// A name in a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Global<'a> {
    pub(super) module: &'a str,
    pub(super) name: &'a str,
}

/// Why a pickle was not parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is damaged, or too large.
    Malformed(String),
    /// It asks for what no checkpoint needs.
    Unsafe(String),
}

/// A parsed pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    root: Value<'a>,
    tuples: Vec<Vec<Value<'a>>>,
    lists: Vec<Vec<Value<'a>>>,
    objects: Vec<Object<'a>>,
    globals: Vec<Global<'a>>,
    persistent: Vec<Value<'a>>,
}

impl<'a> Pickle<'a> {
    /// Parses a pickle, and says how many bytes it takes. `allowed` says which globals may be
    /// named.
    pub(super) fn parse(
        bytes: &'a [u8],
        allowed: impl Fn(Global) -> bool,
    ) -> Result<(Self, usize), Refused> {
        Parser {
            bytes,
            at: 0,
            allowed,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            depths: Vec::new(),
            pickle: Pickle {
                root: Value::None,
                tuples: Vec::new(),
                lists: Vec::new(),
                objects: Vec::new(),
                globals: Vec::new(),
                persistent: Vec::new(),
            },
        }
        .run()
    }

    /// The value that was pickled.
    pub(super) fn root(&self) -> Value<'a> {
        self.root
    }

    /// The elements, if it is a tuple or a list.
    pub(super) fn sequence(&self, value: Value) -> Option<&[Value<'a>]> {
        match value {
            Value::Tuple(i) => Some(&self.tuples[i]),
            Value::List(i) => Some(&self.lists[i]),
            _ => None,
        }
    }

    /// The dictionary or the result of a call, if it is one.
    pub(super) fn object(&self, value: Value) -> Option<&Object<'a>> {
        match value {
            Value::Object(i) => Some(&self.objects[i]),
            _ => None,
        }
    }

    /// The global, if it is one.
    pub(super) fn global(&self, value: Value) -> Option<Global<'a>> {
        match value {
            Value::Global(i) => Some(self.globals[i]),
            _ => None,
        }
    }

    /// Everything outside the pickle that it refers to.
    pub(super) fn all_persistent(&self) -> impl Iterator<Item = Value<'a>> {
        (0..self.persistent.len()).map(Value::Persistent)
    }

    /// The identifier, if it is something outside the pickle.
    pub(super) fn persistent(&self, value: Value) -> Option<Value<'a>> {
        match value {
            Value::Persistent(i) => Some(self.persistent[i]),
            _ => None,
        }
    }
}

struct Parser<'a, F> {
    bytes: &'a [u8],
    at: usize,
    allowed: F,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    /// How deep each tuple nests.
    depths: Vec<usize>,
    pickle: Pickle<'a>,
}

impl<'a, F: Fn(Global) -> bool> Parser<'a, F> {
    fn run(mut self) -> Result<(Pickle<'a>, usize), Refused> {
        for _ in 0..MOST_OPERATIONS {
            let at = self.at;
            match self.byte()? {
                b'.' => {
                    self.pickle.root = self.pop()?;
                    return Ok((self.pickle, self.at));
                }
                operation => self.step(operation, at)?,
            }
        }
        Err(Refused::Malformed(format!("it has more than {MOST_OPERATIONS} operations")))
    }

    fn step(&mut self, operation: u8, at: usize) -> Result<(), Refused> {
        match operation {
            b'\x80' => self.protocol()?,
            // A frame's length: frames only help readers that read ahead.
            b'\x95' => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'N' => self.stack.push(Value::None),
            b'\x88' => self.stack.push(Value::Bool(true)),
            b'\x89' => self.stack.push(Value::Bool(false)),
            b'J' | b'K' | b'M' | b'\x8a' => {
                let number = self.number(operation)?;
                self.stack.push(number);
            }
            b'G' => {
                self.take(8)?;
                self.stack.push(Value::Other);
            }
            b'X' | b'\x8c' | b'\x8d' | b'T' | b'U' | b'B' | b'C' => {
                let text = self.text(operation)?;
                self.stack.push(text);
            }
            b')' => self.tuple(self.stack.len())?,
            b't' => {
                let first = self.mark()?;
                self.tuple(first)?;
            }
            b'\x85' | b'\x86' | b'\x87' => {
                let count = usize::from(operation - b'\x84');
                let first = self.stack.len().checked_sub(count).ok_or_else(underflow)?;
                self.tuple(first)?;
            }
            b']' => {
                self.pickle.lists.push(Vec::new());
                self.stack.push(Value::List(self.pickle.lists.len() - 1));
            }
            // A dictionary, or a set, of which nothing is kept.
            b'}' | b'\x8f' => self.object(Object::default()),
            b'a' | b'e' | b'\x90' => self.append(operation)?,
            b's' | b'u' => self.set_items(operation)?,
            b'q' | b'r' | b'\x94' => self.memoise(operation)?,
            b'h' | b'j' => self.recall(operation)?,
            b'c' | b'\x93' => self.global(operation)?,
            b'R' | b'\x81' => self.call()?,
            b'b' => self.build()?,
            b'Q' => {
                let identifier = self.pop()?;
                self.pickle.persistent.push(identifier);
                self.stack.push(Value::Persistent(self.pickle.persistent.len() - 1));
            }
            other => {
                let reason = format!("operation {other:#04x} at byte {at} of its pickle");
                return Err(Refused::Unsafe(reason));
            }
        }
        Ok(())
    }

    fn protocol(&mut self) -> Result<(), Refused> {
        match self.byte()? {
            2..=4 => Ok(()),
            other => Err(Refused::Malformed(format!("its pickle is of protocol {other}"))),
        }
    }

    fn number(&mut self, operation: u8) -> Result<Value<'a>, Refused> {
        Ok(match operation {
            b'J' => Value::Int(i64::from(i32::from_le_bytes(self.array()?))),
            b'K' => Value::Int(i64::from(self.byte()?)),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(self.array()?))),
            _ => {
                let length = usize::from(self.byte()?);
                let bytes = self.take(length)?;
                let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
                let mut all = [if negative { 0xff } else { 0 }; 8];
                match all.get_mut(..length) {
                    Some(low) => {
                        low.copy_from_slice(bytes);
                        Value::Int(i64::from_le_bytes(all))
                    }
                    // Larger than any size; PyTorch's older format has one as its mark.
                    None => Value::Other,
                }
            }
        })
    }

    fn text(&mut self, operation: u8) -> Result<Value<'a>, Refused> {
        let length = match operation {
            b'\x8c' | b'U' | b'C' => usize::from(self.byte()?),
            b'X' | b'T' | b'B' => u32::from_le_bytes(self.array()?) as usize,
            _ => usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| underflow())?,
        };
        let bytes = self.take(length)?;
        if matches!(operation, b'B' | b'C') {
            return Ok(Value::Other);
        }
        // Python 2's strings need not be text.
        Ok(std::str::from_utf8(bytes).map_or(Value::Other, Value::Text))
    }

    /// Makes a tuple of what lies on the stack from here on.
    fn tuple(&mut self, first: usize) -> Result<(), Refused> {
        let elements = self.stack.split_off(first);
        let inner = elements.iter().map(|value| match value {
            Value::Tuple(i) => self.depths[*i],
            _ => 0,
        });
        let depth = 1 + inner.max().unwrap_or(0);
        if depth > DEEPEST {
            return Err(Refused::Malformed(format!("it nests more than {DEEPEST} tuples")));
        }
        self.pickle.tuples.push(elements);
        self.depths.push(depth);
        self.stack.push(Value::Tuple(self.depths.len() - 1));
        Ok(())
    }

    fn append(&mut self, operation: u8) -> Result<(), Refused> {
        let elements = if operation == b'a' {
            vec![self.pop()?]
        } else {
            let first = self.mark()?;
            self.stack.split_off(first)
        };
        match self.stack.last() {
            Some(Value::List(i)) => self.pickle.lists[*i].extend(elements),
            // Elements of a set.
            Some(Value::Object(_)) => {}
            _ => return Err(Refused::Malformed("it appends to what is no list".to_owned())),
        }
        Ok(())
    }

    fn set_items(&mut self, operation: u8) -> Result<(), Refused> {
        let first = match operation {
            b's' => self.stack.len().checked_sub(2).ok_or_else(underflow)?,
            _ => self.mark()?,
        };
        let flat = self.stack.split_off(first);
        let (pairs, []) = flat.as_chunks::<2>() else {
            return Err(Refused::Malformed("it sets a key without a value".to_owned()));
        };
        let Some(Value::Object(i)) = self.stack.last() else {
            return Err(Refused::Malformed("it sets items of what is no dictionary".to_owned()));
        };
        self.pickle.objects[*i].items.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    fn memoise(&mut self, operation: u8) -> Result<(), Refused> {
        let place = match operation {
            b'q' => u32::from(self.byte()?),
            b'r' => u32::from_le_bytes(self.array()?),
            _ => self.memo.len() as u32,
        };
        let value = *self.stack.last().ok_or_else(underflow)?;
        self.memo.insert(place, value);
        if self.memo.len() > MOST_MEMOS {
            let reason = format!("it has more than {MOST_MEMOS} memo entries");
            return Err(Refused::Malformed(reason));
        }
        Ok(())
    }

    fn recall(&mut self, operation: u8) -> Result<(), Refused> {
        let place = match operation {
            b'h' => u32::from(self.byte()?),
            _ => u32::from_le_bytes(self.array()?),
        };
        let value = self.memo.get(&place).ok_or_else(|| {
            Refused::Malformed(format!("it recalls memo entry {place}, which is not there"))
        })?;
        self.stack.push(*value);
        Ok(())
    }

    fn global(&mut self, operation: u8) -> Result<(), Refused> {
        let (module, name) = if operation == b'c' {
            (self.line()?, self.line()?)
        } else {
            match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => (module, name),
                _ => return Err(Refused::Malformed("a global's name is no text".to_owned())),
            }
        };
        let global = Global { module, name };
        if !(self.allowed)(global) {
            return Err(Refused::Unsafe(format!("the global `{module}.{name}`")));
        }
        self.pickle.globals.push(global);
        self.stack.push(Value::Global(self.pickle.globals.len() - 1));
        Ok(())
    }

    /// Keeps what would be called, and with what.
    fn call(&mut self) -> Result<(), Refused> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        match (callee, arguments) {
            (Value::Global(i), Value::Tuple(_)) => {
                let made_by = Some((self.pickle.globals[i], arguments));
                self.object(Object { made_by, ..Object::default() });
                Ok(())
            }
            _ => Err(Refused::Unsafe("a call of what is no global".to_owned())),
        }
    }

    fn build(&mut self) -> Result<(), Refused> {
        let state = self.pop()?;
        match self.stack.last() {
            Some(Value::Object(i)) => self.pickle.objects[*i].state = Some(state),
            _ => return Err(Refused::Malformed("it gives a state to no object".to_owned())),
        }
        Ok(())
    }

    fn object(&mut self, object: Object<'a>) {
        self.pickle.objects.push(object);
        self.stack.push(Value::Object(self.pickle.objects.len() - 1));
    }

    fn pop(&mut self) -> Result<Value<'a>, Refused> {
        // What lies below a mark belongs to another operation.
        if self.marks.last().is_some_and(|mark| self.stack.len() <= *mark) {
            return Err(underflow());
        }
        self.stack.pop().ok_or_else(underflow)
    }

    fn mark(&mut self) -> Result<usize, Refused> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        if mark > self.stack.len() { Err(underflow()) } else { Ok(mark) }
    }

    fn byte(&mut self) -> Result<u8, Refused> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let bytes = self.take(N)?;
        Ok(*bytes.first_chunk().expect("as many bytes as were taken"))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Refused> {
        let bytes = self.bytes[self.at..].get(..count).ok_or_else(|| {
            Refused::Malformed(format!("its pickle ends at byte {}, too early", self.bytes.len()))
        })?;
        self.at += count;
        Ok(bytes)
    }

    /// Text up to the end of a line.
    fn line(&mut self) -> Result<&'a str, Refused> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take(1 << 10).position(|byte| *byte == b'\n');
        let length = length.ok_or_else(|| {
            Refused::Malformed(format!("a name at byte {} of its pickle has no end", self.at))
        })?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length])
            .map_err(|_| Refused::Malformed("a global's name is no text".to_owned()))
    }
}

fn underflow() -> Refused {
    Refused::Malformed("an operation of its pickle lacks its operands".to_owned())
}
