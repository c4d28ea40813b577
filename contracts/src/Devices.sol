// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Members} from "./Members.sol";

/// @title The devices of a community, and the rules that make it one
/// @notice A device takes part from the transaction that registers it to the one that revokes it; nothing else has to
/// be changed or started anew. Vangulick, Cornélusse and Ernst (PSCC 2018) name five rules of a community; `rules`
/// tells which of them hold as far as a contract can know.
abstract contract Devices is Members {
    /// @notice What a device is. `None` is no kind: it marks a missing value. A `GridLink` joins the community to the
    /// public grid.
    enum Kind {
        None,
        Load,
        Generator,
        Storage,
        GridLink
    }

    struct Device {
        uint32 member;
        Kind kind;
        /// Whether it is property of all members together.
        bool common;
        /// What measures it; the zero address = nothing of its own.
        address meter;
    }

    /// @notice The rules that a contract can check.
    struct Rules {
        /// At least one link to the public grid.
        bool gridLink;
        /// Every generator has a meter of its own.
        bool ownMeters;
        /// A regulator or the grid company is an active member. Whether it watches cannot be known here.
        bool watched;
        /// Every generator was registered as common property. Whose it is by law cannot be known here.
        bool commonGenerators;
    }

    /// @notice A device by the address of its key; kind `None` = not in service.
    mapping(address device => Device) public devices;
    /// @notice The device that a meter measures alone; the zero address = none.
    mapping(address meter => address device) public deviceOfMeter;

    /// @dev How many devices of a kind are in service.
    mapping(Kind => uint256) private _inService;
    uint256 private _commonGenerators;

    event DeviceRegistered(uint32 indexed member, address indexed device, Kind kind, bool common, address meter);
    event DeviceRevoked(uint32 indexed member, address indexed device);

    /// @notice The zero address cannot be a device, and a device is registered once and has a kind.
    error InvalidDevice(address device);
    /// @notice No such device is in service.
    error UnknownDevice(address device);
    /// @notice A generator and a link to the grid need a meter of their own, and a meter measures one device alone.
    error NoMeterOfItsOwn(address device, address meter);
    /// @notice Only an operator or the member itself takes a device out of service.
    error NotTheOwner(address caller, uint32 member);

    /// @notice Registers a member's device: from here on it takes part.
    /// @param device address of its key
    /// @param member who answers for it
    /// @param common whether it is property of all members together
    /// @param meter a meter of the member in service that measures this device alone; the zero address = none
    function registerDevice(address device, uint32 member, Kind kind, bool common, address meter)
        external
        onlyProvider
        known(member)
    {
        bool isNew = device != address(0) && kind != Kind.None && devices[device].kind == Kind.None;
        require(isNew, InvalidDevice(device));
        if (meter != address(0)) {
            bool own = memberOfMeter(meter) == member && deviceOfMeter[meter] == address(0);
            require(own, NoMeterOfItsOwn(device, meter));
            deviceOfMeter[meter] = device;
            _measuresDevice(meter);
        } else {
            require(kind != Kind.Generator && kind != Kind.GridLink, NoMeterOfItsOwn(device, meter));
        }
        devices[device] = Device(member, kind, common, meter);
        _inService[kind] += 1;
        if (kind == Kind.Generator && common) _commonGenerators += 1;
        emit DeviceRegistered(member, device, kind, common, meter);
    }

    /// @notice Takes a device out of service.
    function revokeDevice(address device) external {
        uint32 member = devices[device].member;
        bool allowed = isOperator[msg.sender] || memberOf(msg.sender) == member;
        require(allowed, NotTheOwner(msg.sender, member));
        _revoke(device);
    }

    /// @notice Which of the rules hold. One cannot be checked here and is the operators' word: that the area is
    /// limited. Where homes are does not belong on a chain.
    function rules() external view returns (Rules memory) {
        return Rules({
            gridLink: _inService[Kind.GridLink] != 0,
            ownMeters: true, // none is registered without, and none stays when its meter is revoked
            watched: _active[Role.Regulator] + _active[Role.GridCompany] != 0,
            commonGenerators: _commonGenerators == _inService[Kind.Generator]
        });
    }

    function _meterRevoked(address meter) internal override {
        if (deviceOfMeter[meter] != address(0)) _revoke(deviceOfMeter[meter]);
    }

    function _revoke(address device) private {
        Device memory revoked = devices[device];
        require(revoked.kind != Kind.None, UnknownDevice(device));
        delete devices[device];
        if (revoked.meter != address(0)) delete deviceOfMeter[revoked.meter];
        _inService[revoked.kind] -= 1;
        if (revoked.kind == Kind.Generator && revoked.common) _commonGenerators -= 1;
        emit DeviceRevoked(revoked.member, device);
    }
}
