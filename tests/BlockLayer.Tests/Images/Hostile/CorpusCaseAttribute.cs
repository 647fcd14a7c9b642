namespace BlockLayer.Tests.Images.Hostile;

/// <summary>The test is a case of the hostile corpus by itself. Cases that are rows of a table carry their names there.</summary>
/// <param name="name">The line of the corpus, and what is wrong.</param>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
internal sealed class CorpusCaseAttribute(string name) : Attribute
{
    internal string Name => name;
}
