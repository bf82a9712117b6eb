//! The layer path: which layers are active in one step.
//!
//! Owns the set, its text form (`101101`, input side first) and nothing else: how a path is drawn is `method`'s,
//! how long it is in which step is `schedule`'s.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most layers a model may have: one bit each in a [`LayerPath`].
pub const MAX_LAYERS: usize = 128;

/// The set of layers active in one step of a model with `layers` layers. Layer 0 stands next to the input.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerPath {
    bits: u128,
    layers: u8,
}

impl LayerPath {
    /// No layer active.
    ///
    /// # Panics
    /// If `layers` exceeds [`MAX_LAYERS`]; a checked config can't.
    pub fn none(layers: usize) -> Self {
        assert!(layers <= MAX_LAYERS, "{layers} layers, at most {MAX_LAYERS} are supported");
        Self { bits: 0, layers: layers as u8 }
    }

    /// Every layer active: the full model.
    pub fn full(layers: usize) -> Self {
        Self::from_layers(layers, 0..layers)
    }

    /// The given layers (0-based, input side first) active.
    pub fn from_layers(layers: usize, active: impl IntoIterator<Item = usize>) -> Self {
        let mut path = Self::none(layers);
        for layer in active {
            path.insert(layer);
        }
        path
    }

    /// Activates one layer (0-based).
    ///
    /// # Panics
    /// If the model has no such layer.
    pub fn insert(&mut self, layer: usize) {
        assert!(layer < self.layers(), "layer {layer} of {}", self.layers);
        self.bits |= 1 << layer;
    }

    /// Whether the layer (0-based) is active.
    pub fn is_active(self, layer: usize) -> bool {
        layer < self.layers() && self.bits >> layer & 1 == 1
    }

    /// The number of layers of the model.
    pub fn layers(self) -> usize {
        usize::from(self.layers)
    }

    /// The number of active layers.
    pub fn path_length(self) -> usize {
        self.bits.count_ones() as usize
    }

    /// Whether every layer is active.
    pub fn is_full(self) -> bool {
        self.path_length() == self.layers()
    }

    /// The active layers (0-based), input side first.
    pub fn active(self) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.layers()).filter(move |&layer| self.is_active(layer))
    }
}

impl fmt::Display for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.layers()).try_for_each(|layer| f.write_str(if self.is_active(layer) { "1" } else { "0" }))
    }
}

impl fmt::Debug for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LayerPath({self})")
    }
}

impl FromStr for LayerPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LAYERS {
            return Err(format!("layer path of {} layers, at most {MAX_LAYERS} are supported", text.len()));
        }
        let mut path = Self::none(text.len());
        for (layer, c) in text.bytes().enumerate() {
            match c {
                b'1' => path.insert(layer),
                b'0' => {}
                _ => {
                    return Err(format!("layer path `{text}` has other characters than 0 and 1"));
                }
            }
        }
        Ok(path)
    }
}

impl Serialize for LayerPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LayerPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_input_side_first_and_reads_back() {
        let path = LayerPath::from_layers(6, [0, 2, 3, 5]);
        assert_eq!(path.to_string(), "101101");
        assert_eq!("101101".parse::<LayerPath>(), Ok(path));
        assert_eq!((path.path_length(), path.layers(), path.is_full()), (4, 6, false));
        assert_eq!(path.active().collect::<Vec<_>>(), [0, 2, 3, 5]);
        assert_eq!(serde_json::to_string(&path).unwrap(), "\"101101\"");
    }

    #[test]
    fn holds_every_layer_of_the_deepest_model() {
        let path = LayerPath::full(MAX_LAYERS);
        assert!(path.is_full() && path.is_active(127) && !path.is_active(128));
        assert_eq!(path.to_string().parse::<LayerPath>(), Ok(path));
    }

    #[test]
    fn refuses_other_characters_and_too_many_layers() {
        assert!("10x".parse::<LayerPath>().unwrap_err().contains("10x"));
        assert!("1".repeat(129).parse::<LayerPath>().unwrap_err().contains("129"));
    }
}
