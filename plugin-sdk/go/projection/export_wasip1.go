package projection

import (
	"unsafe"

	"lantern.dev/sdk-go/internal/guest"
	"lantern.dev/sdk-go/lantern"
)

var (
	exported Projection
	runner   *lantern.Runner
)

func export(p Projection) {
	exported, runner = p, lantern.NewRunner(host{}, p.Apply)
}

//go:wasmexport lantern:plugin/meta@0.1.0#describe
func describe() uint32 { return guest.AnswerText(exported.Manifest.JSON()) }

//go:wasmexport lantern:plugin/projection@0.1.0#apply
func apply(at, size uint32) uint32 {
	return guest.AnswerFrame(runner.Apply(guest.Take(at, size)))
}

//go:wasmimport lantern:plugin/sql@0.1.0 prepare
func sqlPrepare(sql string, result unsafe.Pointer)

//go:wasmimport lantern:plugin/sql@0.1.0 apply
func sqlApply(ops unsafe.Pointer, size uint32, result unsafe.Pointer)

//go:wasmimport lantern:plugin/sql@0.1.0 query
func sqlQuery(statement uint32, params unsafe.Pointer, size, rowsMax uint32, result unsafe.Pointer)

// host is the projection's own database, inside of apply.
type host struct{}

func (host) Prepare(sql string) (uint32, error) {
	var result guest.Result
	sqlPrepare(sql, result.At())
	return result.Number()
}

func (host) Apply(ops []byte) (uint32, error) {
	var result guest.Result
	sqlApply(unsafe.Pointer(unsafe.SliceData(ops)), uint32(len(ops)), result.At())
	return result.Number()
}

func (host) Query(statement uint32, params []byte, rowsMax uint32) ([]byte, error) {
	var result guest.Result
	sqlQuery(statement, unsafe.Pointer(unsafe.SliceData(params)), uint32(len(params)), rowsMax, result.At())
	return result.Frame()
}
