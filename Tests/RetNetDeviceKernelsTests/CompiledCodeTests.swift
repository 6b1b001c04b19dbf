import Foundation
import RetNetDeviceStub
import Testing

/// What the real compiler makes of the kernels.
///
/// It needs no GPU, only the library: that of `RETNET_NVRTC`, of LibTorch's CUDA
/// build, or the one that `scripts/setup-nvrtc` puts into `.libtorch/nvrtc`.
private let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path
/// What was found last time, for kernels that have not changed.
private let checkedFolder = package + "/.libtorch/nvrtc/checked"
private let hasCompiler: Bool = {
    let libtorch = ProcessInfo.processInfo.environment["LIBTORCH"] ?? package + "/.libtorch/torch"
    for folder in ["\(package)/.libtorch/nvrtc/lib", "\(libtorch)/lib"] { ds_add_folder(folder) }
    return ds_compiler() != nil
}()

@Suite(
    .enabled(if: hasCompiler, "libnvrtc is not here (scripts/setup-nvrtc fetches it): no kernel is compiled"))
struct CompiledCodeTests {
    static let architectures: [Int32] = [80, 90, 100, 120]
    /// Shared memory that a block can have.
    static func sharedMemory(_ architecture: Int32) -> Int32 {
        switch architecture {
        case 80: 163 << 10
        case 120: 99 << 10
        default: 227 << 10
        }
    }

    /// Everything for every architecture takes minutes; by default every instance in bfloat16 is compiled for one of them.
    private static let takesAll = ProcessInfo.processInfo.environment["RETNET_TEST_KERNELS"] == "all"

    @Test("Every kernel compiles within its bounds and without spills", arguments: architectures)
    func instances(architecture: Int32) throws {
        let turn = try #require(Self.architectures.firstIndex(of: architecture))
        var checked = 0
        for index in 0..<ds_instance_count() {
            let bounds = ds_instance_bounds(index)
            let type = String(cString: ds_instance_type(index))
            let name = "\(String(cString: ds_instance_operation(index))), \(type)"
            guard Self.takesAll || (Int(index) % 4 == turn && !type.contains("<f")) else { continue }
            // The rules take smaller tiles there.
            if bounds.shared_bytes > Self.sharedMemory(architecture) { continue }
            var found = ds_resources()
            guard ds_compile_instance(index, architecture, checkedFolder, &found) else {
                Issue.record("\(name): \(deviceError())")
                continue
            }
            checked += 1
            #expect(found.registers > 0 && found.registers <= bounds.registers, "\(name): \(found)")
            #expect(found.registers * bounds.threads <= 65536, "\(name): \(found)")
            #expect(found.local_bytes <= bounds.local_bytes, "\(name): \(found)")
            #expect(found.spill_bytes == 0 || bounds.local_bytes > 0, "\(name): \(found)")
            // What the system takes of a block's memory.
            #expect(found.static_shared <= 1024, "\(name): shared memory is dynamic")
            #expect(found.threads == bounds.threads, "\(name): \(found)")
            #expect(found.argument_bytes == bounds.argument_bytes, "\(name): \(found)")
        }
        #expect(checked > 3)
    }

    /// The body of a kernel as a whole program; `values` keeps that many numbers in registers.
    private func program(values: Int, threads: Int) -> String {
        """
        struct Arguments { float *x; };
        extern "C" __global__ void __launch_bounds__(\(threads), 1) retnet_kernel(const __grid_constant__ Arguments a) {
          float v[\(values)];
          #pragma unroll
          for (int i = 0; i < \(values); i++) v[i] = a.x[threadIdx.x + i * 1024];
          __syncthreads();
          #pragma unroll
          for (int j = 0; j < 3; j++) {
            #pragma unroll
            for (int i = 0; i < \(values); i++) v[i] = v[i] * v[(i * 7 + 1) % \(values)] + a.x[i + j];
            __syncthreads();
          }
          #pragma unroll
          for (int i = 0; i < \(values); i++) a.x[threadIdx.x + i * 1024] = v[i];
        }
        """
    }

    @Test("Registers, threads, arguments and spills are read from the code", arguments: architectures)
    func reading(architecture: Int32) {
        var found = ds_resources()
        #expect(ds_compile(program(values: 4, threads: 96), architecture, &found), "\(deviceError())")
        #expect(found.registers >= 8 && found.registers < 64, "\(found)")
        #expect((found.threads, found.argument_bytes) == (96, 8))
        #expect((found.local_bytes, found.spill_bytes, found.static_shared) == (0, 0, 0))
        // 1,024 threads leave 64 registers for each.
        #expect(ds_compile(program(values: 160, threads: 1024), architecture, &found), "\(deviceError())")
        #expect(found.registers <= 64 && found.local_bytes > 0 && found.spill_bytes > 0, "\(found)")
    }

    @Test("An error of a kernel comes with the line")
    func errors() {
        var found = ds_resources()
        #expect(!ds_compile("extern \"C\" __global__ void retnet_kernel() { nothing(); }", 90, &found))
        #expect(deviceError().contains("cannot compile a kernel for sm_90a"))
        #expect(deviceError().contains("retnet_kernel.cu(1): error: identifier \"nothing\" is undefined"))
    }
}

@Suite struct DeviceSourceTests {
    @Test("The text in the program is that of the files")
    func embedding() throws {
        let folder = URL(fileURLWithPath: package).appendingPathComponent("Sources/RetNetDeviceKernels")
        let kernels = (try? FileManager.default.contentsOfDirectory(atPath: folder.path + "/kernels")) ?? []
        var names: Set<String> = []
        for index in 0..<ds_source_count() {
            let name = String(cString: ds_source_name(index))
            names.insert(name)
            let place = name.hasSuffix(".cuh") ? "kernels/" : "include/RetNetDeviceKernels/"
            let file = try String(contentsOf: folder.appendingPathComponent(place + name), encoding: .utf8)
            #expect(file == String(cString: ds_source_text(index)), "\(name): build again")
            #expect(file.utf8.allSatisfy { $0 < 128 }, "\(name) is not ASCII")
        }
        #expect(names.isSuperset(of: kernels), "sources.cpp lacks files of kernels/")
    }
}
