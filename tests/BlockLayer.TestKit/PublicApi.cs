using System.Reflection;
using System.Text;

namespace BlockLayer.TestKit;

/// <summary>The public surface of an assembly as text: one line a type, one line a member below it, in alphabetical order.</summary>
public static class PublicApi
{
    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<Type, string> s_keywords = new()
    {
        [typeof(void)] = "void",
        [typeof(object)] = "object",
        [typeof(string)] = "string",
        [typeof(bool)] = "bool",
        [typeof(byte)] = "byte",
        [typeof(char)] = "char",
        [typeof(ushort)] = "ushort",
        [typeof(int)] = "int",
        [typeof(uint)] = "uint",
        [typeof(long)] = "long",
        [typeof(ulong)] = "ulong",
        [typeof(double)] = "double",
        [typeof(decimal)] = "decimal",
    };

    private static readonly NullabilityInfoContext s_nullability = new();

    /// <summary>What another assembly can use of <paramref name="assembly"/>.</summary>
    public static string Describe(Assembly assembly)
    {
        var text = new StringBuilder();
        foreach (Type type in assembly.GetExportedTypes().OrderBy(type => type.FullName, StringComparer.Ordinal))
        {
            text.Append(Header(type)).Append('\n');
            foreach (string member in Members(type).Order(StringComparer.Ordinal))
            {
                text.Append("    ").Append(member).Append('\n');
            }
        }

        return text.ToString();
    }

    private static string Header(Type type)
    {
        string kind = type.IsEnum ? "enum"
            : type.IsInterface ? "interface"
            : type.IsValueType ? "struct"
            : type.IsAbstract && type.IsSealed ? "static class"
            : type.IsAbstract ? "abstract class"
            : type.IsSealed ? "sealed class"
            : "class";
        IEnumerable<Type> bases = type.IsEnum || type.IsValueType || type.BaseType is null || type.BaseType == typeof(object) ? [] : [type.BaseType];
        string[] above = [.. bases.Concat(type.GetInterfaces().Where(type => type.IsPublic).OrderBy(Name, StringComparer.Ordinal)).Select(Name)];
        return $"{kind} {type.Namespace}.{Name(type)}{(above.Length > 0 && !type.IsEnum ? $" : {string.Join(", ", above)}" : string.Empty)}";
    }

    private static IEnumerable<string> Members(Type type)
    {
        if (type.IsEnum)
        {
            return Enum.GetNames(type).Select(name => $"{name} = {Convert.ToInt64(Enum.Parse(type, name), null)}");
        }

        IEnumerable<string> constructors = type.GetConstructors(Declared).Where(IsVisible).Select(constructor => $".ctor({Parameters(constructor)})");
        IEnumerable<string> fields = type.GetFields(Declared).Where(field => field.IsPublic || field.IsFamily || field.IsFamilyOrAssembly)
            .Select(field => $"{(field.IsLiteral ? "const " : field.IsStatic ? "static " : string.Empty)}{Name(field.FieldType)} {field.Name}{(field.IsLiteral ? $" = {field.GetRawConstantValue()}" : string.Empty)}");
        IEnumerable<string> events = type.GetEvents(Declared).Where(happening => IsVisible(happening.AddMethod!)).Select(happening => $"event {Name(happening.EventHandlerType!)} {happening.Name}");
        IEnumerable<string> properties = type.GetProperties(Declared)
            .Where(property => property.GetAccessors(nonPublic: true).Any(IsVisible))
            .Select(Describe);
        IEnumerable<string> methods = type.GetMethods(Declared)
            .Where(method => IsVisible(method) && (!method.IsSpecialName || method.Name.StartsWith("op_", StringComparison.Ordinal)) && !IsWrittenByCompiler(method))
            .Select(method => $"{Modifiers(method)}{Name(method.ReturnType)} {method.Name}{Generics(method)}({Parameters(method)})");
        return constructors.Concat(fields).Concat(events).Concat(properties).Concat(methods);
    }

    private static string Describe(PropertyInfo property)
    {
        MethodInfo accessor = property.GetAccessors(nonPublic: true).First(IsVisible);
        string get = property.GetMethod is { } getter && IsVisible(getter) ? " get;" : string.Empty;
        string set = property.SetMethod is { } setter && IsVisible(setter)
            ? setter.ReturnParameter.GetRequiredCustomModifiers().Length > 0 ? " init;" : " set;"
            : string.Empty;
        bool required = property.CustomAttributes.Any(attribute => attribute.AttributeType.Name == "RequiredMemberAttribute");
        string nullable = s_nullability.Create(property).ReadState == NullabilityState.Nullable && !property.PropertyType.IsValueType ? "?" : string.Empty;
        return $"{Modifiers(accessor)}{(required ? "required " : string.Empty)}{Name(property.PropertyType)}{nullable} {property.Name} {{{get}{set} }}";
    }

    private static bool IsVisible(MethodBase method) => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;

    private static bool IsWrittenByCompiler(MethodInfo method)
        => method.Name.Contains('<', StringComparison.Ordinal)
            || method.CustomAttributes.Any(attribute => attribute.AttributeType.Name == "CompilerGeneratedAttribute");

    private static string Modifiers(MethodInfo method)
        => method.DeclaringType!.IsInterface ? string.Empty
            : (method.IsFamily || method.IsFamilyOrAssembly ? "protected " : string.Empty)
            + (method.IsStatic ? "static "
                : method.IsAbstract ? "abstract "
                : method.GetBaseDefinition() != method ? "override "
                : method.IsVirtual && !method.IsFinal ? "virtual "
                : string.Empty);

    private static string Generics(MethodInfo method)
        => method.IsGenericMethod ? $"<{string.Join(", ", method.GetGenericArguments().Select(Name))}>" : string.Empty;

    private static string Parameters(MethodBase method) => string.Join(", ", method.GetParameters().Select(Describe));

    private static string Describe(ParameterInfo parameter)
    {
        string nullable = s_nullability.Create(parameter).ReadState == NullabilityState.Nullable && !parameter.ParameterType.IsValueType ? "?" : string.Empty;
        string direction = parameter.IsOut ? "out " : parameter.ParameterType.IsByRef ? "ref " : string.Empty;
        string fallback = parameter.HasDefaultValue ? " = " + (parameter.RawDefaultValue ?? "default") : string.Empty;
        return $"{direction}{Name(parameter.ParameterType)}{nullable} {parameter.Name}{fallback}";
    }

    private static string Name(Type type)
    {
        if (s_keywords.TryGetValue(type, out string? keyword))
        {
            return keyword;
        }

        if (type.IsByRef)
        {
            return Name(type.GetElementType()!);
        }

        if (type.IsArray)
        {
            return Name(type.GetElementType()!) + "[]";
        }

        if (Nullable.GetUnderlyingType(type) is { } underlying)
        {
            return Name(underlying) + "?";
        }

        string own = type.IsNested && !type.IsGenericParameter ? $"{Name(type.DeclaringType!)}.{type.Name}" : type.Name;
        int tick = own.IndexOf('`', StringComparison.Ordinal);
        return tick < 0 ? own : $"{own[..tick]}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>";
    }
}
