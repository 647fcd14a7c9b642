using Xunit;

namespace BlockLayer.Interop.Tests.Jobs;

/// <summary>The tests that use <see cref="JobImages"/>.</summary>
[CollectionDefinition(Name)]
public sealed class JobImagesCollection : ICollectionFixture<JobImages>
{
    /// <summary>The name of the collection.</summary>
    public const string Name = "Jobs on both sides";
}
