using BlockLayer.Cli;
using BlockLayer.Cli.Terminal;

using var console = new SystemConsole();
return await BlkProgram.RunAsync(args, console).ConfigureAwait(false);
