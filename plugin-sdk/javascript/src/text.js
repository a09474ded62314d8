// Text and bytes. QuickJS has no TextDecoder, and a loop over bytes is slow in it: base64 is done natively, and so are
// `escape` and `unescape`, which make UTF-8 of text and text of UTF-8.

const decoder = globalThis.TextDecoder && new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = globalThis.TextEncoder && new TextEncoder();

/** The bytes as a text of as many characters, each of the byte's number. */
function latin1(bytes) {
  if (bytes.toBase64) return atob(bytes.toBase64());
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + 8192));
  }
  return text;
}

/** Reads UTF-8; throws for what is none. */
export function decode(bytes) {
  return decoder ? decoder.decode(bytes) : decodeURIComponent(escape(latin1(bytes)));
}

/** Writes UTF-8; throws for what is no Unicode. */
export function encode(text) {
  if (encoder) {
    if (!text.isWellFormed()) throw new URIError("it has half of a surrogate pair");
    return encoder.encode(text);
  }
  return Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text))));
}

/** Bytes of which many parts are texts: converted at once, if all is ASCII. */
export class TextArena {
  #bytes;
  #text;

  constructor(bytes) {
    this.#bytes = bytes;
    this.#text = isAscii(bytes) ? latin1(bytes) : undefined;
  }

  /** Reads UTF-8 of a part; throws for what is none. */
  text(pos, length) {
    const text = this.#text;
    if (text !== undefined) return text.substr(pos, length);
    return decode(this.#bytes.subarray(pos, pos + length));
  }
}

/** Looked at by four bytes, eight times in a step: that is what an interpreter is quickest at. */
function isAscii(bytes) {
  let at = 0;
  let all = 0;
  if (bytes.byteOffset % 4 === 0) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    const end = words.length - 7;
    for (; at < end; at += 8) {
      all |=
        words[at] | words[at + 1] | words[at + 2] | words[at + 3] | words[at + 4] | words[at + 5] | words[at + 6] | words[at + 7];
    }
    if (all & 0x80808080) return false;
    at *= 4;
  }
  for (; at < bytes.length; at++) all |= bytes[at];
  return (all & 0x80808080) === 0;
}
