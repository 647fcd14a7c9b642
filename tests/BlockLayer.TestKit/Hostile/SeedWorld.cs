using BlockLayer.Graph;
using BlockLayer.Images;
using BlockLayer.Storage;

namespace BlockLayer.TestKit.Hostile;

/// <summary>Where sound images are made before they are damaged: the same files, under the same names, as an <see cref="ImageExercise"/> has.</summary>
internal static class SeedWorld
{
    /// <summary>What the backing file of every image holds that has one.</summary>
    internal static byte[] Base { get; } = Pattern.Of(0, 100_000, writer: 9);

    /// <summary>Makes an image and fills it; its file.</summary>
    /// <param name="format">Its format.</param>
    /// <param name="options">How it is created; a backing file is called <c>base</c> and raw, a data file <c>data</c>.</param>
    /// <param name="fill">What is done with it while it is open for writing.</param>
    /// <param name="dataFile">What the file <c>/d/data</c> holds in the end, if the image has one.</param>
    internal static byte[] Make(ImageFormat format, ImageCreateOptions options, Func<BlockNode, Task> fill, out byte[] dataFile)
    {
        var files = new MeteredFiles();
        files.Put(ImageExercise.ImagePath, []);
        files.Put(ImageExercise.BasePath, Base);
        if (format.DataFileOf(options) is not null)
        {
            files.Put(ImageExercise.DataPath, []);
        }

        var environment = new BlockEnvironment { Files = files, Work = InlineWorkScheduler.Instance, Time = new FrozenTime() };
        MakeAsync(environment, format, options, fill).GetAwaiter().GetResult();
        dataFile = files.GetInfo(ImageExercise.DataPath) is null ? [] : files.Get(ImageExercise.DataPath).ToArray();
        return files.Get(ImageExercise.ImagePath).ToArray();
    }

    private static async Task MakeAsync(BlockEnvironment environment, ImageFormat format, ImageCreateOptions options, Func<BlockNode, Task> fill)
    {
        BlockStorage storage = await environment.Files
            .OpenAsync(ImageExercise.ImagePath, new StorageOpenOptions { Writable = true }, CancellationToken.None).ConfigureAwait(false);
        await using (var file = new StorageNode(storage, environment))
        {
            await format.CreateAsync(file, options, CancellationToken.None).ConfigureAwait(false);
        }

        var opener = new ImageOpener(BuiltInFormats.All, environment);
        var write = new ImageOpenOptions { Format = format.Name, Access = NodeAccess.ReadWrite, Secrets = new ImageSecrets(ImageExercise.Passphrase) };
        BlockNode node = await opener.OpenAsync(ImageExercise.ImagePath, write).ConfigureAwait(false);
        await using (node.ConfigureAwait(false))
        {
            await fill(node).ConfigureAwait(false);
        }
    }
}
