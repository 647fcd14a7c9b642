using BlockLayer.Storage;
using BlockLayer.TestKit.Contracts;

namespace BlockLayer.Tests.Storage;

public sealed class MemoryFileContract : StorageContract
{
    protected override StorageProvider Provider { get; } = new MemoryStorageProvider();

    protected override string PathOf(string name) => "/images/" + name;
}

public sealed class MemoryProviderContract : StorageProviderContract
{
    protected override StorageProvider Provider { get; } = new MemoryStorageProvider();

    protected override string PathOf(string name) => "/images/" + name;
}
