using BlockLayer.Cli.CommandLine;
using Xunit;

namespace BlockLayer.Tests.Cli;

public sealed class ArgumentParserTests
{
    private static readonly Option s_quiet = Option.Flag('q', "quiet", "");
    private static readonly Option s_compress = Option.Flag('c', "compress", "");
    private static readonly Option s_format = Option.Value('f', "format", "FMT", "");
    private static readonly Option s_root = Option.Value(null, "allow", "DIR", "");

    [Theory]
    [InlineData("-qcf", "raw", "disk")]
    [InlineData("-q", "-c", "-fraw", "disk")]
    [InlineData("disk", "--quiet", "--compress", "--format=raw")]
    [InlineData("--format", "raw", "disk", "-cq")]
    [InlineData("-f", "raw", "-q", "-c", "--", "disk")]
    public void Every_way_of_writing_options_means_the_same(params string[] arguments)
    {
        ParsedArguments parsed = Parse(arguments);
        Assert.True(parsed.Has(s_quiet));
        Assert.True(parsed.Has(s_compress));
        Assert.Equal("raw", parsed.Get(s_format));
        Assert.Equal(["disk"], parsed.Operands);
    }

    [Fact]
    public void After_two_dashes_everything_is_an_operand()
        => Assert.Equal(["-q", "--format=raw", "-"], Parse("--", "-q", "--format=raw", "-").Operands);

    [Fact]
    public void A_repeated_option_keeps_all_values_and_answers_with_the_last()
    {
        ParsedArguments parsed = Parse("--allow", "a", "-f", "raw", "--allow=b", "-f", "qed");
        Assert.Equal(["a", "b"], parsed.GetAll(s_root));
        Assert.Equal("qed", parsed.Get(s_format));
    }

    [Theory]
    [InlineData("there is no option -x.", "-qx")]
    [InlineData("there is no option --frob.", "--frob=1")]
    [InlineData("-f needs a value: FMT.", "-q", "-f")]
    [InlineData("--allow needs a value: DIR.", "--allow")]
    [InlineData("--quiet takes no value.", "--quiet=yes")]
    public void Wrong_use_is_named(string message, params string[] arguments)
        => Assert.Equal(message, Assert.Throws<UsageException>(() => Parse(arguments)).Message);

    [Fact]
    public void Sizes_have_units()
    {
        Assert.Equal(65536, Parse("-f", "64K").GetSize(s_format));
        Assert.Equal(1536L << 20, Parse("-f1.5G").GetSize(s_format));
        Assert.Null(Parse().GetSize(s_format));
        UsageException error = Assert.Throws<UsageException>(() => Parse("-f", "big").GetSize(s_format));
        Assert.Equal("-f: 'big' is no size; write bytes or a number with K, M, G, T, P or E (powers of 1024), such as 64K or 1.5G.", error.Message);
    }

    private static ParsedArguments Parse(params string[] arguments)
        => ArgumentParser.Parse(arguments, [s_quiet, s_compress, s_format, s_root]);
}
