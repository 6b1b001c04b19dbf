import Foundation
import RetNetLayers
import RetNetModels
import RetNetTestSupport
import RetNetTorch
import Testing

/// A T5 of a few hundred numbers; inner widths differ from the model's on purpose.
func tinyT5(gated: Bool = true, dropout: Double = 0, decoderLayers: Int = 2) -> T5Configuration {
    T5Configuration(
        vocabularySize: 32, hiddenSize: 8, headCount: 2, keySize: 3, innerSize: 12, encoderLayerCount: 2,
        decoderLayerCount: decoderLayers, feedForward: gated ? .gatedGelu : .relu, tiedOutput: !gated,
        bucketCount: 8, maximumDistance: 20, dropout: dropout)
}

/// Weights that any program can make again: sin(0.1 (i + 1)² (k + 2)) for number i of parameter k.
func madeUpWeights(_ configuration: T5Configuration) throws -> (String, [Int]) throws -> Tensor {
    var order: [String: Int] = [:]
    for (index, entry) in try configuration.parameterShapes().enumerated() { order[entry.name] = index }
    return { name, shape in
        let k = Double(order[name] ?? 0)
        let isTable = name.contains("shared") || name.contains("bias")
        let scale = isTable ? 1 : 1.5 / Double(shape.last ?? 1).squareRoot()
        let values = (0..<shape.reduce(1, *)).map { i in
            let wave = sin(0.1 * Double(i + 1) * Double(i + 1) * (k + 2))
            return shape.count == 1 ? 1 + 0.1 * wave : scale * wave
        }
        return try Tensor.from(values, shape)
    }
}

func madeUpT5(_ configuration: T5Configuration, _ type: ElementType = .float64, compute: ElementType? = nil)
    throws -> T5Model
{
    try T5Model(
        configuration,
        parameters: ParameterStore(source: .provided(try madeUpWeights(configuration)), elementType: type),
        computeType: compute ?? type)
}

let goldenSources: [[Int32]] = [[5, 9, 3, 17, 22, 8, 11, 13, 21, 6, 4, 1], [7, 2, 30, 1]]
let goldenTargets: [[Int32]] = [[12, 4, 25, 1], [9, 1]]

/// Decoding step by step is a whole pass, and an example alone is the example padded.
func expectStepsAndPaddingChangeNothing(_ model: T5Model) throws {
    let batch = try T5Batch(
        sources: goldenSources, targets: goldenTargets, configuration: model.configuration)
    let whole = try withoutGradients { try model(batch) }
    var state = try model.startDecoding(model.encode(batch.source, segments: batch.sourceSegments))
    for time in 0..<4 {
        let (logits, next) = try model.cachedStep(batch.decoderInput.selected(1, time), state: state)
        let expected = try whole.selected(1, time).selected(0, 0).doubles()
        #expect(relativeDifference(try logits.selected(0, 0).doubles(), expected) < 1e-11)
        state = next
    }
    let alone = try T5Batch(
        sources: [goldenSources[1]], targets: [goldenTargets[1]], configuration: model.configuration)
    let count = goldenTargets[1].count
    #expect(
        relativeDifference(
            try whole.selected(0, 1).sliced(0, 0..<count).doubles(),
            try model(alone).selected(0, 0).sliced(0, 0..<count).doubles()) < 1e-11)
}
