using BlockLayer.TestKit;
using Xunit;

[assembly: AssemblyFixture(typeof(FailedAssertions))]
