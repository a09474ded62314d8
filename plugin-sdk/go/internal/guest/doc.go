// Package guest is the contract's binary interface, by hand: how texts, frames and failures lie in a plugin's memory when the
// host calls it, and when it calls the host. It follows the canonical ABI of the component model. Natively it is empty.
package guest
