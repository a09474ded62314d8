// Text and bytes. QuickJS has no TextDecoder, and a loop over bytes is slow in it: base64 is done natively, and so are
// `escape` and `unescape`, which make UTF-8 of text and text of UTF-8.

const decoder = globalThis.TextDecoder && new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = globalThis.TextEncoder && new TextEncoder();
// Names of the module are quicker than those of the world.
const Bytes = Uint8Array;
const { btoa: base64Of, unescape: bytesOf, encodeURIComponent: utf8Of } = globalThis;

/** The bytes as a text of as many characters, each of the byte's number. */
export function latin1(bytes) {
  if (bytes.toBase64) return atob(bytes.toBase64());
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + 8192));
  }
  return text;
}

/** Reads UTF-8; throws for what is none. */
export function decode(bytes) {
  return decoder ? decoder.decode(bytes) : textOf(latin1(bytes));
}

/** Writes UTF-8; throws for what is no Unicode. */
export function encode(text) {
  if (encoder === undefined) return Bytes.fromBase64(base64Of(bytesOf(utf8Of(text))));
  if (!text.isWellFormed()) throw new URIError("it has half of a surrogate pair");
  return encoder.encode(text);
}

const NOT_ASCII = /[^\0-\x7f]/;

/** Text of UTF-8, each of whose bytes is a character here; throws for what is none. */
export function textOf(characters) {
  return NOT_ASCII.test(characters) ? decodeURIComponent(escape(characters)) : characters;
}

/** A text that is the same for the same bytes, and for no others. */
export const nameOfBytes = Uint8Array.prototype.toHex ? (bytes) => bytes.toHex() : latin1;

/** Whether all bytes are ASCII. Looked at by four bytes, sixteen times in a step: that is what an interpreter is quickest at. */
export function isAscii(bytes) {
  let at = 0;
  let all = 0;
  if (bytes.byteOffset % 4 === 0) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    const end = words.length - 15;
    for (; at < end; at += 16) {
      all |=
        words[at] | words[at + 1] | words[at + 2] | words[at + 3] | words[at + 4] | words[at + 5] | words[at + 6] | words[at + 7] |
        words[at + 8] | words[at + 9] | words[at + 10] | words[at + 11] | words[at + 12] | words[at + 13] | words[at + 14] | words[at + 15];
    }
    if (all & 0x80808080) return false;
    at *= 4;
  }
  for (; at < bytes.length; at++) all |= bytes[at];
  return (all & 0x80808080) === 0;
}
