import RetNetTorch

extension RotationKind {
    /// A memory S [B, H, A, X] of rotated keys with every key pair turned by -offset · θ, one offset a row.
    func rebased(_ memory: Tensor, by offsets: [Int]) throws -> Tensor {
        let (batch, heads, keys, columns) = (memory.size(0), memory.size(1), memory.size(2), memory.size(3))
        let table = try RotaryTable.make(
            angles: angles(keySize: keys), starts: offsets.map { -$0 }, length: 1, type: memory.elementType,
            device: memory.device)
        // [B, H, A, X] as B rows of "time" 1 with H·X "heads" of width A.
        let wide = try memory.transposed(2, 3).reshaped([batch, 1, heads * columns, keys])
        let turned = try FusedOperators.rotateHeads(
            wide, cosine: table[0], sine: table[1], interleaved: self == .interleaved, scale: 1)
        return try turned.reshaped([batch, heads, columns, keys]).transposed(2, 3).contiguous()
    }
}
