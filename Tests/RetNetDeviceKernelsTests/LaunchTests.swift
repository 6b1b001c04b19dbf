import Foundation
import RetNetDeviceStub
import RetNetTestSupport
import Testing

/// Kernels on a machine whose driver and compiler record their calls.
@Suite struct LaunchTests {
    private let folder: TemporaryFolder
    private let machine = StubMachine()

    init() throws { folder = try TemporaryFolder() }

    private var files: [String] { (try? folder.names("cache")) ?? [] }
    private func kernels() -> StubKernels { machine.kernels(cache: folder.path("cache")) }

    @Test("The first launch compiles, keeps, loads and launches; the next only launches")
    func first() throws {
        let kernels = kernels()
        #expect(kernels.launch() == nil)
        let calls = machine.calls
        #expect(
            calls.map { $0.split(separator: " ")[0] } == [
                "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent", "cuDeviceGet",
                "nvrtcCreateProgram", "nvrtcCompileProgram", "nvrtcDestroyProgram", "cuModuleLoadDataEx",
                "cuModuleGetFunction", "cuLaunchKernel",
            ])
        #expect(calls[4] == "nvrtcCreateProgram \(ds_source_count()) kernel.h")
        #expect(
            calls[5]
                == "nvrtcCompileProgram --gpu-architecture=sm_90a --std=c++17 --device-as-default-execution-space"
        )
        #expect(calls[7] == "cuModuleLoadDataEx sm_90a")
        #expect(calls[8].hasSuffix(" retnet_kernel"))
        #expect(
            calls[9].hasSuffix(" grid 2,3,4 block 128,1,1 shared 1024 stream 77 arguments 0102fe00"))

        #expect(
            kernels.launch(grid: [5, 1, 1], sharedBytes: 1024, arguments: [9, 9, 9, 9], stream: 0) == nil)
        let again = machine.calls
        #expect(again.count == 1)
        #expect(again[0].hasSuffix(" grid 5,1,1 block 128,1,1 shared 1024 stream 0 arguments 09090909"))
        #expect((kernels.compiled, kernels.cached) == (1, 0))
        #expect(files.count == 1 && files[0].hasSuffix(".kernel") && files[0].count == 71)
    }

    @Test("The program names file and instantiation and checks the numbers of the host")
    func program() throws {
        #expect(kernels().launch("Scale<f32, 64>", threads: 96, sharedBytes: 2048) == nil)
        let file = try folder.text("cache/" + #require(files.first))
        for line in [
            "#include \"test.cuh\"", "using Chosen = Scale<f32, 64>;",
            "static_assert(sizeof(Chosen::Arguments) == 4,", "static_assert(Chosen::threads == 96,",
            "static_assert(Chosen::shared_bytes == 2048,", "retnet_kernel(",
        ] { #expect(file.contains(line)) }
    }

    @Test("Another process finds the code in the cache")
    func cached() {
        #expect(kernels().launch() == nil)
        _ = machine.calls
        let second = kernels()
        #expect(second.launch() == nil)
        #expect(!machine.calls.contains { $0.hasPrefix("nvrtc") })
        #expect((second.compiled, second.cached) == (0, 1))
        // Another instantiation, or another size of arguments, is another program.
        #expect(second.launch("Scale<bf16>") == nil)
        #expect(kernels().launch(arguments: [1]) == nil)
        #expect(files.count == 3)
    }

    @Test("A damaged file of the cache is compiled anew and replaced")
    func damaged() throws {
        #expect(kernels().launch() == nil)
        let url = folder.url("cache/" + (try #require(files.first)))
        let sound = try Data(contentsOf: url)
        for damage in [sound.prefix(sound.count / 2), Data(), sound.dropLast() + Data([0x7f])] {
            try damage.write(to: url)
            let kernels = kernels()
            #expect(kernels.launch() == nil)
            #expect((kernels.compiled, kernels.cached) == (1, 0))
            #expect(try Data(contentsOf: url) == sound)
        }
    }

    @Test("Code of the cache that the driver does not take is compiled anew, once")
    func refused() {
        #expect(kernels().launch() == nil)
        machine.fail("cuModuleLoadDataEx", 200)
        let kernels = kernels()
        #expect(kernels.launch() == nil)
        #expect((kernels.compiled, kernels.cached) == (1, 1))

        machine.fail("cuModuleLoadDataEx", 200, times: 2)
        let message = self.kernels().launch()
        #expect(
            message
                == "the CUDA driver cannot load the kernel Scale<f32> (ptxas says no): device kernel image is invalid (CUDA_ERROR_INVALID_IMAGE)"
        )
    }

    @Test("What the compiler refuses is an error with its words, and is not kept")
    func compilation() {
        machine.fail("nvrtcCompileProgram", 6)
        let kernels = kernels()
        #expect(
            kernels.launch()
                == "'stub compiler' cannot compile a kernel for sm_90a: NVRTC_ERROR_COMPILATION\nline 1: what the compiler says"
        )
        #expect(machine.calls.contains("nvrtcDestroyProgram"))
        #expect(files.isEmpty)
        #expect(kernels.launch() == nil)
    }

    @Test("A failed launch names the kernel and the driver's reason")
    func failedLaunch() {
        machine.fail("cuLaunchKernel", 700)
        #expect(
            kernels().launch()
                == "the CUDA driver cannot launch the kernel Scale<f32>: an illegal memory access was encountered (CUDA_ERROR_ILLEGAL_ADDRESS)"
        )
        machine.fail("cuLaunchKernel", 12345)
        #expect(kernels().launch()?.hasSuffix("unknown error (12345)") == true)
    }

    @Test("Shared memory above 48 KB is asked for, before the launch")
    func sharedMemory() throws {
        #expect(kernels().launch(sharedBytes: 48 << 10) == nil)
        #expect(!machine.calls.contains { $0.hasPrefix("cuFuncSetAttribute") })
        #expect(kernels().launch(sharedBytes: 100_000) == nil)
        let calls = machine.calls
        #expect(calls.suffix(2).first?.hasSuffix(" 8 100000") == true)
        #expect(calls.suffix(2).first?.hasPrefix("cuFuncSetAttribute ") == true)
    }

    @Test("A device newer than the compiler gets PTX of the newest architecture; an older one is refused")
    func architectures() {
        func launch(_ architecture: Int32) -> (message: String?, calls: [String]) {
            let machine = StubMachine(architecture: architecture)
            let message = machine.kernels(cache: "").launch()
            return (message, machine.calls)
        }
        for (architecture, name) in [
            (80, "sm_80"), (90, "sm_90a"), (120, "sm_120"), (89, "compute_80"), (103, "compute_100"),
            (130, "compute_120"),
        ] as [(Int32, String)] {
            let (message, calls) = launch(architecture)
            #expect(message == nil)
            #expect(calls.contains { $0.contains("--gpu-architecture=\(name) ") }, "\(name)")
        }
        #expect(
            launch(75).message
                == "'stub compiler' cannot compile for compute capability 7.5: it begins with 8.0")
    }

    @Test("Every device has a module of its own, and an empty grid launches nothing")
    func devices() {
        let kernels = kernels()
        #expect(kernels.launch(grid: [0, 5, 5]) == nil)
        #expect(machine.calls.isEmpty)
        #expect(kernels.launch(device: 0) == nil && kernels.launch(device: 1) == nil)
        #expect(machine.calls.count { $0.hasPrefix("cuModuleLoadDataEx") } == 2)
        #expect(kernels.launch(device: 1) == nil)
        #expect(machine.calls.count == 1)
        #expect((kernels.compiled, kernels.cached) == (1, 1))
    }

    @Test("Files that are no such libraries are refused by name")
    func libraries() throws {
        #expect(!ds_open_driver("/no/libcuda.so.1"))
        #expect(deviceError().contains("/no/libcuda.so.1"))
        let text = try folder.write("no library", to: "libcuda.so.1")
        #expect(!ds_open_driver(text))
        #expect(deviceError().contains(text))
        #if os(Linux)
            #expect(!ds_open_driver("libm.so.6"))
            #expect(
                deviceError()
                    == "'libm.so.6' is not a CUDA driver of version 11 or later: it has no function 'cuInit'")
            #expect(!ds_open_compiler("libm.so.6"))
            #expect(
                deviceError()
                    == "'libm.so.6' is not NVRTC 11.2 or later: it has no function 'nvrtcGetErrorString'")
        #endif
    }
}
