import Foundation
import RetNetDeviceStub

/// The message of the last failed call on this thread.
func deviceError() -> String { String(cString: ds_error()) }

/// A machine whose driver and compiler only record their calls.
final class StubMachine {
    private let machine: OpaquePointer

    init(architecture: Int32 = 90) { machine = ds_machine_make(architecture) }
    deinit { ds_machine_free(machine) }

    /// The calls since the last look.
    var calls: [String] {
        String(cString: ds_calls(machine)).split(separator: "\n").map(String.init)
    }

    /// Makes the next calls of a function fail.
    func fail(_ function: String, _ result: Int32, times: Int32 = 1) {
        ds_fail(machine, function, result, times)
    }

    func kernels(cache: String) -> StubKernels { StubKernels(self, ds_kernels_make(machine, cache)) }
}

/// Kernels on a stub machine.
final class StubKernels {
    private let machine: StubMachine
    private let kernels: OpaquePointer

    init(_ machine: StubMachine, _ kernels: OpaquePointer) {
        (self.machine, self.kernels) = (machine, kernels)
    }
    deinit { ds_kernels_free(kernels) }

    var compiled: Int { Int(ds_compiled(kernels)) }
    var cached: Int { Int(ds_cached(kernels)) }

    /// Launches a kernel; the message if it failed.
    @discardableResult
    func launch(
        _ type: String = "Scale<f32>", grid: [Int32] = [2, 3, 4], threads: Int32 = 128,
        sharedBytes: Int32 = 1024,
        arguments: [UInt8] = [1, 2, 0xfe, 0], device: Int32 = 0, stream: Int64 = 77
    ) -> String? {
        ds_launch(
            kernels, type, grid, threads, sharedBytes, arguments, Int64(arguments.count), device, stream)
            ? nil : deviceError()
    }
}
