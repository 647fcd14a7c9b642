using BlockLayer.Formats.Qcow2;
using BlockLayer.Graph;
using BlockLayer.TestKit.Contracts;

namespace BlockLayer.Tests.Formats.Qcow2;

public sealed class Qcow2Version3ContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options => new() { Length = 0 };
}

public sealed class Qcow2Version2ContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options => new() { Length = 0, Version = 2, ClusterSize = 4096 };
}

public sealed class Qcow2SmallestClustersContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options => new() { Length = 0, ClusterSize = 512, RefcountBits = 64 };
}

public sealed class Qcow2LargestClustersContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options => new() { Length = 0, ClusterSize = 2 << 20, RefcountBits = 1 };
}

public sealed class Qcow2SmallestSubclustersContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options => new() { Length = 0, ClusterSize = 16 * 1024, ExtendedL2 = true };
}

public sealed class Qcow2SubclustersContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options => new() { Length = 0, ExtendedL2 = true };
}

public sealed class Qcow2LargestSubclustersContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options => new() { Length = 0, ClusterSize = 2 << 20, RefcountBits = 1, ExtendedL2 = true };
}

public sealed class Qcow2PreallocatedContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options => new() { Length = 0, ClusterSize = 4096, Preallocation = Preallocation.Metadata };
}

public sealed class Qcow2PreallocatedSubclustersContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options => new() { Length = 0, ExtendedL2 = true, Preallocation = Preallocation.Falloc };
}

public sealed class Qcow2DataFileContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options => new() { Length = 0, DataFile = "data" };
}

public sealed class Qcow2RawDataFileContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options => new() { Length = 0, ClusterSize = 4096, DataFile = "data", DataFileLayout = DataFileLayout.Raw };
}

public sealed class Qcow2LuksContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options => new() { Length = 0, Encryption = new LuksCreateOptions { Iterations = 1000 } };
}

public sealed class Qcow2LuksDataFileContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options
        => new() { Length = 0, ClusterSize = 16384, ExtendedL2 = true, DataFile = "data", Encryption = new LuksCreateOptions { Iterations = 1000, Mode = "cbc-essiv:sha256" } };
}

public sealed class Qcow2LegacyEncryptionContractTests : Qcow2NodeContract
{
    private protected override Qcow2CreateOptions Options => new() { Length = 0, Version = 2, ClusterSize = 4096 };

    private protected override EncryptionMethod Legacy => EncryptionMethod.Aes;
}

/// <summary>What every node promises, for qcow2 images of some geometry.</summary>
public abstract class Qcow2NodeContract : PersistentNodeContract
{
    private readonly TestWorld _world = new();

    private protected abstract Qcow2CreateOptions Options { get; }

    /// <summary>A method that no image is created with any more: set in the header of a new one.</summary>
    private protected virtual EncryptionMethod Legacy => EncryptionMethod.None;

    private protected override async ValueTask<BlockNode> CreateAsync(long length)
    {
        _world.Passphrase = Passphrase.FromText("correct horse");
        await _world.CreateAsync("disk", Options with { Length = length, Passphrase = _world.Passphrase });
        if (Legacy != EncryptionMethod.None)
        {
            await _world.SetEncryptionMethodAsync("disk", Legacy);
        }

        return await _world.OpenAsync("disk");
    }

    private protected override ValueTask<BlockNode> ReopenAsync(NodeAccess access) => OpenAsync(access);

    private async ValueTask<BlockNode> OpenAsync(NodeAccess access) => await _world.OpenAsync("disk", access);
}
